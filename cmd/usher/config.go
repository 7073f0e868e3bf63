package main

import (
	"errors"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/usherhq/usher/cmd/usher/config"
	"github.com/usherhq/usher/pipeline/configlog"
)

// settings are the flags that every configured command has.
type settings struct {
	file        string
	set         []string
	check, dump bool
}

// bind declares the configuration's flags on c: those of the sections (all when
// none is named) and the four general ones.
func (s *settings) bind(c *cobra.Command, sections ...string) {
	f := c.Flags()
	f.SortFlags = false
	config.AddFlags(f, sections...)
	f.StringVar(&s.file, "config", "", "YAML file; also "+config.FileVariable)
	f.StringArrayVar(&s.set, "set", nil, "set any key of the configuration, key=value; repeatable")
	f.BoolVar(&s.check, "check", false, "validate the configuration, name all faults, and exit")
	f.BoolVar(&s.dump, "dump", false, "print the effective configuration as YAML, secrets masked, and exit")
}

// load makes the effective configuration.
func (s *settings) load(w *world, c *cobra.Command) (*config.Config, error) {
	file := s.file
	for _, e := range w.environ {
		if name, value, _ := strings.Cut(e, "="); name == config.FileVariable && file == "" {
			file = value
		}
	}
	return config.Load(config.Inputs{File: file, Environ: w.environ, Flags: c.Flags(), Set: s.set})
}

// configured makes the RunE of a command that needs the configuration. With
// --check or --dump it only says what the configuration is.
func (s *settings) configured(w *world, do func(*cobra.Command, []string, *config.Config) error) func(*cobra.Command, []string) error {
	return func(c *cobra.Command, args []string) error {
		cfg, err := s.load(w, c)
		if err != nil {
			return err
		}
		switch {
		case s.dump:
			text, err := cfg.YAML()
			if err != nil {
				return err
			}
			_, err = w.out.Write(text)
			return err
		case s.check:
			_, err := w.err.Write([]byte("the configuration is valid\n"))
			return err
		}
		return do(c, args, cfg)
	}
}

func newConfigCommand(w *world) *cobra.Command {
	c := &cobra.Command{
		Use:     "config",
		Short:   "Move the control state between installations, or print the configuration's schema",
		Example: "  usher config export > state.jsonl\n  usher config import state.jsonl --dry-run\n  usher config schema",
	}
	c.AddCommand(newConfigExportCommand(w), newConfigImportCommand(w), newConfigSchemaCommand(w))
	return c
}

func newConfigExportCommand(w *world) *cobra.Command {
	var s settings
	account := ""
	c := &cobra.Command{
		Use:   "export",
		Short: "Write accounts, objectives, policies and modes as JSON lines",
		Long: `Writes the current control state to standard output, one resource per line. Tokens
and models stay: they belong to one installation.`,
		Example: "  usher config export >state.jsonl\n  usher config export --account default | usher config import --kafka-brokers other:9092",
		Args:    cobra.NoArgs,
	}
	s.bind(c, toolSections()...)
	c.Flags().StringVar(&account, "account", "", "only this account")
	c.RunE = w.control(&s, func(_ *cobra.Command, _ []string, store *configlog.Store) error {
		return exportState(store.State(), account, w.out)
	})
	return c
}

func newConfigImportCommand(w *world) *cobra.Command {
	var s settings
	i := importer{author: author(), out: w.out}
	c := &cobra.Command{
		Use:   "import [FILE]",
		Short: "Read JSON lines of an export and write what differs",
		Long: `Reads FILE, or standard input, whole before it writes anything. Resources that are
equal already stay untouched, so an import can be repeated.`,
		Example: "  usher config import state.jsonl --dry-run",
		Args:    cobra.MaximumNArgs(1),
	}
	s.bind(c, toolSections()...)
	c.Flags().BoolVar(&i.dryRun, "dry-run", false, "only tell what would change")
	c.Flags().StringVar(&i.reason, "reason", "import", "why; kept in the audit log")
	c.RunE = func(c *cobra.Command, args []string) error {
		var list []movedResource
		if err := w.input(args, func(in io.Reader) (err error) {
			list, err = readExport(in)
			return err
		}); err != nil {
			return err
		}
		return w.control(&s, func(c *cobra.Command, _ []string, store *configlog.Store) error {
			i.store = store
			return i.run(c.Context(), list)
		})(c, args)
	}
	return c
}

// input gives read the file named by the last argument, or standard input.
func (w *world) input(args []string, read func(io.Reader) error) (err error) {
	if len(args) == 0 || args[len(args)-1] == "-" {
		return read(w.in)
	}
	file, err := os.Open(args[len(args)-1])
	if err != nil {
		return &usageError{err}
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	return read(file)
}

func newConfigSchemaCommand(w *world) *cobra.Command {
	return &cobra.Command{
		Use:     "schema",
		Short:   "Print the JSON Schema of the configuration file",
		Example: "  usher config schema > usher.schema.json",
		Args:    cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			text, err := config.Schema()
			if err != nil {
				return err
			}
			_, err = w.out.Write(text)
			return err
		},
	}
}
