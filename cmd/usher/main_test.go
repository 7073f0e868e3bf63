package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestMain builds the binary that the scripts and the end-to-end tests run: it
// starts children of itself, so it has to be the real one.
func TestMain(m *testing.M) {
	os.Exit(withBinary(m))
}

func withBinary(m *testing.M) int {
	dir, err := os.MkdirTemp("", "usher-bin-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	build := exec.Command("go", "build", "-o", filepath.Join(dir, "usher"), ".")
	build.Stdout, build.Stderr = os.Stderr, os.Stderr
	if err := build.Run(); err != nil {
		fmt.Fprintln(os.Stderr, "build usher:", err)
		return 1
	}
	if err := os.Setenv(binaryVariable, filepath.Join(dir, "usher")); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

// binaryVariable tells the tests where the binary is. It must not look like
// configuration.
const binaryVariable = "TEST_BINARY_OF_USHER"

func binary() string { return os.Getenv(binaryVariable) }

// TestScripts runs one user story per file. Each may only use the binary, the
// files it brings and the shell's own words of testscript.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Setup: func(env *testscript.Env) error {
			env.Setenv("PATH", filepath.Dir(binary())+string(os.PathListSeparator)+env.Getenv("PATH"))
			env.Setenv("HOME", env.WorkDir)
			env.Setenv("ENGINE", engineFolder())
			env.Setenv("EXAMPLES", examplesFolder())
			return nil
		},
		RequireExplicitExec: true,
	})
}

// examplesFolder holds the policies that the documentation shows.
func examplesFolder() string {
	folder, err := filepath.Abs("../../examples/policies")
	if err != nil {
		return err.Error()
	}
	return folder
}
