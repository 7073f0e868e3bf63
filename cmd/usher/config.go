package main

import (
	"strings"

	"github.com/spf13/cobra"

	"github.com/usherhq/usher/cmd/usher/config"
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
		Use:   "config",
		Short: "Move the control state between installations, or print the configuration's schema",
	}
	c.AddCommand(newConfigSchemaCommand(w))
	return c
}

func newConfigSchemaCommand(w *world) *cobra.Command {
	return &cobra.Command{
		Use:   "schema",
		Short: "Print the JSON Schema of the configuration file",
		Args:  cobra.NoArgs,
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
