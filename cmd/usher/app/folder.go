package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/usherhq/usher/internal/fault"
)

// Names inside of the data folder.
const (
	lockName      = "usher.lock"
	runningName   = "running.json"
	logFolder     = "kafka"
	storeFolder   = "clickhouse"
	spoolFolder   = "spool"
	modelFolder   = "models"
	contextFolder = "context"
)

// Running is what a process tells about itself in the data folder, for the tools
// that want to reach it and for whoever finds the folder in use.
type Running struct {
	PID     int       `json:"pid"`
	Role    string    `json:"role"`
	Since   time.Time `json:"since"`
	Address Addresses `json:"addresses"`
}

// lockFolder takes the data folder, which it makes when missing, for this
// process. The kernel gives it back whatever ends the process. When it is taken
// the error says by whom.
func lockFolder(dir, role string, now time.Time) (unlock func(), err error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make the data folder: %w", err)
	}
	file, err := os.OpenFile(filepath.Join(dir, lockName), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock the data folder: %w", err)
	}
	if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		_ = file.Close() // never written
		return nil, inUse(dir, err)
	}
	if err := announce(dir, Running{PID: os.Getpid(), Role: role, Since: now}); err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return func() {
		// Both may fail only when the folder is gone, and then nobody needs them.
		_ = os.Remove(filepath.Join(dir, runningName))
		_ = file.Close()
	}, nil
}

func inUse(dir string, cause error) error {
	by := "another process"
	if r, err := readRunning(dir); err == nil {
		by = fmt.Sprintf("process %d (usher %s, since %s)", r.PID, r.Role, r.Since.Format(time.RFC3339))
	}
	if !errors.Is(cause, syscall.EWOULDBLOCK) {
		return fmt.Errorf("lock the data folder %q: %w", dir, cause)
	}
	return fault.New(fault.Precondition, "DATA_FOLDER_IN_USE",
		"the data folder %q is in use by %s; stop it, or choose another folder with --data-dir", dir, by)
}

// announce replaces what the folder says about its process.
func announce(dir string, r Running) error {
	text, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("announce the process: %w", err)
	}
	path := filepath.Join(dir, runningName)
	if err := os.WriteFile(path+".new", text, 0o600); err != nil {
		return fmt.Errorf("announce the process: %w", err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		return fmt.Errorf("announce the process: %w", err)
	}
	return nil
}

func readRunning(dir string) (*Running, error) {
	text, err := os.ReadFile(filepath.Join(dir, runningName))
	if err != nil {
		return nil, fmt.Errorf("read who runs: %w", err)
	}
	var r Running
	if err := json.Unmarshal(text, &r); err != nil {
		return nil, fmt.Errorf("read who runs: %w", err)
	}
	return &r, nil
}

// FindRunning tells which process has the data folder now; nil when none has.
func FindRunning(dir string) (*Running, error) {
	file, err := os.OpenFile(filepath.Join(dir, lockName), os.O_RDWR, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("look for a running usher: %w", err)
	}
	defer file.Close()
	if syscall.Flock(int(file.Fd()), syscall.LOCK_SH|syscall.LOCK_NB) == nil {
		return nil, nil // nobody holds it; the end of this function frees it again
	}
	return readRunning(dir)
}

// awaitOrphan waits until an engine left behind by a killed parent has stopped:
// it holds its ports and its files until then. It stops by itself within grace.
func awaitOrphan(ctx context.Context, dir string, grace time.Duration) error {
	file, err := os.OpenFile(filepath.Join(dir, storeFolder, "engine.lock"), os.O_RDWR, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("look for an earlier engine: %w", err)
	}
	defer file.Close()
	ctx, cancel := context.WithTimeout(ctx, grace)
	defer cancel()
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	for syscall.Flock(int(file.Fd()), syscall.LOCK_SH|syscall.LOCK_NB) != nil {
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for the ClickHouse engine of an earlier run to stop: %w", ctx.Err())
		case <-ticker.C:
		}
	}
	return nil
}
