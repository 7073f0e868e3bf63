package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/usherhq/usher/internal/fault"
)

// streams are the program's standard streams. Results go to out, all else to err.
type streams struct {
	in       io.Reader
	out, err io.Writer
}

// world is what a command may use of its surroundings.
type world struct {
	streams
	environ []string
	version string
}

// run carries out one command line. Nothing beneath it reads the environment,
// writes to the process's own streams or exits.
func run(ctx context.Context, args, environ []string, std streams) error {
	root := newRoot(&world{streams: std, environ: environ, version: version()})
	root.SetArgs(args)
	root.SetIn(std.in)
	root.SetOut(std.out)
	root.SetErr(std.err)
	if err := unknownTopic(root, args); err != nil {
		return err
	}
	return root.ExecuteContext(ctx)
}

// unknownTopic refuses help on a command that does not exist. Cobra answers it with
// that of the group around it, as if all were well.
func unknownTopic(root *cobra.Command, args []string) error {
	helps := slices.ContainsFunc(args, func(arg string) bool { return arg == "--help" || arg == "-h" })
	if len(args) > 0 && args[0] == "help" {
		args, helps = args[1:], true
	}
	c, rest, err := root.Find(args)
	if !helps || err != nil || !c.HasSubCommands() {
		return nil //nolint:nilerr // cobra will find it, too
	}
	// Groups have no flags with values: what is no flag is meant as a command.
	if i := slices.IndexFunc(rest, func(arg string) bool { return !strings.HasPrefix(arg, "-") }); i >= 0 && c.Args != nil && rest[i] != "help" {
		return c.Args(c, rest[i:])
	}
	return nil
}

// exitCode reports err to people and maps it to the exit code.
func exitCode(err error, out io.Writer) int {
	if err == nil {
		return 0
	}
	_, _ = fmt.Fprintln(out, "usher: "+explain(err))
	if o, told := errors.AsType[*outcome](err); told {
		return o.code
	}
	if _, usage := errors.AsType[*usageError](err); usage || fault.KindOf(err) == fault.Invalid {
		return 2
	}
	return 1
}

// explain gives each violation of the input a line of its own. Errors repeat texts
// of callers, so what does not print is escaped.
func explain(err error) string {
	f, ok := errors.AsType[*fault.Error](err)
	if !ok || len(f.Violations) == 0 {
		lines := strings.Split(err.Error(), "\n")
		for i := range lines {
			lines[i] = shown(lines[i])
		}
		return strings.Join(lines, "\n")
	}
	var b strings.Builder
	b.WriteString(shown(f.Message) + ":")
	for _, v := range f.Violations {
		b.WriteString("\n  " + strings.TrimPrefix(shown(v.Field)+": ", ": ") + shown(v.Description))
	}
	return b.String()
}

// usageError is a command line that cannot be understood.
type usageError struct{ err error }

func (e *usageError) Error() string { return e.err.Error() }
func (e *usageError) Unwrap() error { return e.err }

func newRoot(w *world) *cobra.Command {
	root := &cobra.Command{
		Use:   "usher",
		Short: "Show every conversation to the right seat",
		Long: `Usher decides where each conversation goes next, learns from what came of it,
and shows that it is getting better.

One machine needs nothing else installed: "usher up" starts the log, the
warehouse, the trainer and the API in one process tree. A cluster runs the
roles apart: "usher ingest", "usher train" and "usher decide".`,
		Example: `  usher up                                  everything, on the usual ports
  usher up --http-addr 127.0.0.1:0          the REST API on a free port
  usher up --check                          only validate the configuration
  usher event tail usher.decisions          watch decisions as JSON lines`,
		SilenceUsage:      true,
		SilenceErrors:     true,
		CompletionOptions: cobra.CompletionOptions{HiddenDefaultCmd: true},
	}
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		return &usageError{fmt.Errorf("%w; see %s --help", err, c.CommandPath())}
	})
	for _, r := range roleCommands() {
		root.AddCommand(newRoleCommand(w, r))
	}
	root.AddCommand(newMigrateCommand(w), newEventCommand(w), newDLQCommand(w),
		newConfigCommand(w), newDemoCommand(w), newEvalCommand(w), newSimulateCommand(w), newTokenCommand(w), newEraseCommand(w), newPolicyCommand(w), newModelCommand(w), newExplainCommand(w),
		newVersionCommand(w), newClickHouseCommand(), newChallengerCommand())
	markUsage(root)
	return root
}

// markUsage makes wrong arguments and unknown subcommands usage errors.
func markUsage(c *cobra.Command) {
	switch check := c.Args; {
	case c.HasSubCommands() && c.Run == nil && c.RunE == nil:
		c.Args = func(c *cobra.Command, args []string) error {
			if len(args) == 0 {
				return nil
			}
			hint := "; see " + c.CommandPath() + " --help"
			if near := c.SuggestionsFor(args[0]); len(near) > 0 {
				hint = "; did you mean " + strings.Join(near, " or ") + "?"
			}
			return &usageError{fmt.Errorf("no command %q in %q%s", args[0], c.CommandPath(), hint)}
		}
		c.RunE = func(c *cobra.Command, _ []string) error { return c.Help() }
		c.SuggestionsMinimumDistance = 2
	case check != nil:
		c.Args = func(c *cobra.Command, args []string) error {
			if err := check(c, args); err != nil {
				return &usageError{fmt.Errorf("%w; see %s --help", err, c.CommandPath())}
			}
			return nil
		}
	}
	for _, sub := range c.Commands() {
		markUsage(sub)
	}
}

func newVersionCommand(w *world) *cobra.Command {
	return &cobra.Command{
		Use:     "version",
		Short:   "Print the version",
		Example: "  usher version",
		Args:    cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			_, err := fmt.Fprintf(w.out, "usher %s %s %s/%s\n", w.version, runtime.Version(), runtime.GOOS, runtime.GOARCH)
			return err
		},
	}
}

// version is the module's version, else the commit it was built from.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	if v := info.Main.Version; v != "" && v != "(devel)" {
		return v
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			return "devel-" + s.Value[:min(12, len(s.Value))]
		}
	}
	return "devel"
}
