package main

import (
	"crypto/rand"
	"fmt"
	"os/user"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/usherhq/usher/cmd/usher/app"
	"github.com/usherhq/usher/cmd/usher/config"
	"github.com/usherhq/usher/decision/token"
	"github.com/usherhq/usher/internal/rpc"
	"github.com/usherhq/usher/pipeline/configlog"
)

func newTokenCommand(w *world) *cobra.Command {
	c := &cobra.Command{
		Use:   "token",
		Short: "Create, list, regenerate and revoke API tokens",
		Long: `Tokens are records of the config log: whoever reaches it may make one, which is
also the way back in after the admin token was lost. Only a token's hash is kept.`,
		Example: `  usher token create --name "web bot" --account default --scopes decide,ingest --expires 2160h
  usher token list
  usher token regenerate ID --reason "the yearly one"
  usher token revoke ID --reason "leaked"`,
	}
	c.AddCommand(newTokenCreateCommand(w), newTokenListCommand(w), newTokenRegenerateCommand(w), newTokenRevokeCommand(w))
	return c
}

// control makes the RunE of a command that works on the control state.
func (w *world) control(s *settings, do func(*cobra.Command, []string, *configlog.Store) error) func(*cobra.Command, []string) error {
	return s.configured(w, func(c *cobra.Command, args []string, cfg *config.Config) error {
		log, err := w.logger(cfg)
		if err != nil {
			return err
		}
		return app.WithControl(c.Context(), cfg, log, func(store *configlog.Store) error { return do(c, args, store) })
	})
}

// author is who changes the control state from a command line.
func author() string {
	if u, err := user.Current(); err == nil {
		return "cli:" + u.Username
	}
	return "cli"
}

func newTokenCreateCommand(w *world) *cobra.Command {
	var s settings
	var spec token.Spec
	var scopes []string
	var lifetime time.Duration
	c := &cobra.Command{
		Use: "create", Short: "Create a token and print it, this once", Args: cobra.NoArgs,
		Example: "  usher token create --name \"web bot\" --account default --scopes decide,ingest --expires 2160h",
	}
	s.bind(c, toolSections()...)
	f := c.Flags()
	f.StringVar(&spec.Name, "name", "", "what the token is for")
	f.StringVar(&spec.Account, "account", "", "account it is bound to; empty means the whole installation")
	f.StringSliceVar(&scopes, "scopes", []string{"decide", "ingest"}, "what it may do: decide, ingest, read, admin")
	f.DurationVar(&lifetime, "expires", 0, "how long it counts; 0 means for ever")
	c.RunE = w.control(&s, func(c *cobra.Command, _ []string, store *configlog.Store) error {
		for _, name := range scopes {
			scope, ok := rpc.ParseScope(strings.TrimSpace(name))
			if !ok {
				return &usageError{fmt.Errorf("no scope %q, only decide, ingest, read, admin", name)}
			}
			spec.Scopes |= scope
		}
		if lifetime != 0 {
			spec.Expires = time.Now().Add(lifetime)
		}
		plain, info, err := token.New(store, time.Now, rand.Reader).Create(c.Context(), spec, author())
		if err != nil {
			return err
		}
		_, _ = fmt.Fprintf(w.err, "token %s, shown this once:\n", info.ID) // the token itself is the result
		_, err = fmt.Fprintln(w.out, plain)
		return err
	})
	return c
}

func newTokenListCommand(w *world) *cobra.Command {
	var s settings
	account := ""
	c := &cobra.Command{
		Use: "list", Short: "List the tokens, without their secrets", Args: cobra.NoArgs,
		Long: `Lists every token: those of the installation, with a dash for the account, and those
that are bound to one. --account lists those of one account, --account "" those of
the installation alone.`,
		Example: "  usher token list\n  usher token list --account default",
	}
	s.bind(c, toolSections()...)
	c.Flags().StringVar(&account, "account", "", "account whose tokens to list; all when absent")
	c.RunE = w.control(&s, func(c *cobra.Command, _ []string, store *configlog.Store) error {
		t := tabwriter.NewWriter(w.out, 0, 0, 2, ' ', 0)
		_, _ = fmt.Fprintln(t, "ID\tACCOUNT\tSCOPES\tEXPIRES\tCREATED\tBY\tNAME") // an error stays with t until Flush
		tokens := token.New(store, time.Now, rand.Reader)
		list := tokens.All()
		if c.Flags().Changed("account") {
			list = tokens.List(account)
		}
		for _, i := range list {
			expires := "never"
			if !i.Expires.IsZero() {
				expires = stamp(i.Expires)
			}
			_, _ = fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", i.ID, orDash(shown(i.Account)), i.Scopes, expires,
				stamp(i.Created), shown(i.Author), orDash(shown(i.Name)))
		}
		return t.Flush()
	})
	return c
}

func newTokenRegenerateCommand(w *world) *cobra.Command {
	var s settings
	reason := ""
	c := &cobra.Command{
		Use: "regenerate ID", Short: "Give a token a new secret and print it, this once", Args: cobra.ExactArgs(1),
		Long:    `Rights, account and expiry stay. The former secret is refused at once, on every replica.`,
		Example: "  usher token regenerate ID --reason \"the yearly one\"",
	}
	s.bind(c, toolSections()...)
	c.Flags().StringVar(&reason, "reason", "", "why; kept in the audit log")
	c.RunE = w.control(&s, func(c *cobra.Command, args []string, store *configlog.Store) error {
		plain, info, err := token.New(store, time.Now, rand.Reader).Regenerate(c.Context(), args[0], author(), reason)
		if err != nil {
			return err
		}
		_, _ = fmt.Fprintf(w.err, "token %s, shown this once:\n", info.ID) // the token itself is the result
		_, err = fmt.Fprintln(w.out, plain)
		return err
	})
	return c
}

func newTokenRevokeCommand(w *world) *cobra.Command {
	var s settings
	reason := ""
	c := &cobra.Command{
		Use: "revoke ID", Short: "End a token, everywhere", Args: cobra.ExactArgs(1),
		Example: "  usher token revoke ID --reason leaked",
	}
	s.bind(c, toolSections()...)
	c.Flags().StringVar(&reason, "reason", "", "why; kept in the audit log")
	c.RunE = w.control(&s, func(c *cobra.Command, args []string, store *configlog.Store) error {
		return token.New(store, time.Now, rand.Reader).Revoke(c.Context(), args[0], author(), reason)
	})
	return c
}
