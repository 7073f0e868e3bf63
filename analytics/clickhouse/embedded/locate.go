package embedded

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
)

// ErrLibraryMissing says that the engine's library is not on this machine. The
// error that wraps it tells what to run.
var ErrLibraryMissing = errors.New("the ClickHouse engine's library is missing")

// packageName is the npm package that carries the library for a platform.
func packageName(goos, goarch string) (string, bool) {
	name, ok := map[string]string{
		"linux/amd64":  "@chdb/lib-linux-x64-gnu",
		"linux/arm64":  "@chdb/lib-linux-arm64-gnu",
		"darwin/amd64": "@chdb/lib-darwin-x64",
		"darwin/arm64": "@chdb/lib-darwin-arm64",
	}[goos+"/"+goarch]
	return name, ok
}

// Locate finds libchdb. A non-empty path is taken or refused; else it looks in
// engine/ beside the executable and one folder up, in deploy/engine/ of the
// working folder, the executable's folder and their parents, and in the user's
// cache folder (usher/engine). The error says which command brings it.
func Locate(path string) (string, error) {
	if path != "" {
		if info, err := os.Stat(path); err != nil {
			return "", fmt.Errorf("%w: %q: %w", ErrLibraryMissing, path, err)
		} else if info.IsDir() {
			return locateIn([]string{path})
		}
		return path, nil
	}
	return locateIn(searchFolders())
}

// locateIn looks for the platform's package under each engine folder.
func locateIn(folders []string) (string, error) {
	name, ok := packageName(runtime.GOOS, runtime.GOARCH)
	if !ok {
		return "", fmt.Errorf("%w: there is none for %s/%s; name a running server with --clickhouse-dsn",
			ErrLibraryMissing, runtime.GOOS, runtime.GOARCH)
	}
	for _, folder := range folders {
		for _, file := range []string{"libchdb.so", "libchdb.dylib"} {
			candidate := filepath.Join(folder, "node_modules", filepath.FromSlash(name), file)
			if _, err := os.Stat(candidate); err == nil {
				return filepath.Abs(candidate)
			} else if !errors.Is(err, fs.ErrNotExist) {
				return "", fmt.Errorf("look for the engine's library: %w", err)
			}
		}
	}
	return "", fmt.Errorf("%w (package %s); run: npm ci --prefix deploy/engine; or give its path with --clickhouse-lib, "+
		"or a running server with --clickhouse-dsn; looked in %s", ErrLibraryMissing, name, strings.Join(folders, ", "))
}

// searchFolders lists the engine folders in order of preference.
func searchFolders() []string {
	var folders []string
	add := func(folder string) {
		if !slices.Contains(folders, folder) {
			folders = append(folders, folder)
		}
	}
	var starts []string
	if exe, err := os.Executable(); err == nil {
		if resolved, err := filepath.EvalSymlinks(exe); err == nil {
			exe = resolved
		}
		dir := filepath.Dir(exe)
		add(filepath.Join(dir, "engine"))
		add(filepath.Join(filepath.Dir(dir), "engine"))
		starts = append(starts, dir)
	}
	if wd, err := os.Getwd(); err == nil {
		starts = append(starts, wd)
	}
	for _, dir := range starts {
		for {
			if engine := filepath.Join(dir, "deploy", "engine"); isDir(engine) {
				add(engine)
			}
			parent := filepath.Dir(dir)
			if parent == dir {
				break
			}
			dir = parent
		}
	}
	if cache, err := os.UserCacheDir(); err == nil {
		add(filepath.Join(cache, "usher", "engine"))
	}
	return folders
}

func isDir(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}
