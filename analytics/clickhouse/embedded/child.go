package embedded

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"syscall"
	"time"
	"unsafe"

	"github.com/ebitengine/purego"
)

// lifelineFD is the child's end of the pipe that ends with the parent.
const lifelineFD = 3

// childFlags is what the parent tells the child on its command line.
type childFlags struct {
	library, dataDir, native, http string
	grace                          time.Duration
}

func (f childFlags) args() []string {
	return []string{
		"--library=" + f.library, "--path=" + f.dataDir,
		"--native=" + f.native, "--http=" + f.http, "--grace=" + f.grace.String(),
	}
}

func parseChildFlags(args []string) (childFlags, error) {
	var f childFlags
	set := flag.NewFlagSet("clickhouse", flag.ContinueOnError)
	set.SetOutput(io.Discard)
	set.StringVar(&f.library, "library", "", "path of libchdb")
	set.StringVar(&f.dataDir, "path", "", "data folder")
	set.StringVar(&f.native, "native", "", "host:port of the native protocol")
	set.StringVar(&f.http, "http", "", "host:port of HTTP")
	set.DurationVar(&f.grace, "grace", 20*time.Second, "time to stop after the parent has gone")
	if err := set.Parse(args); err != nil {
		return f, fmt.Errorf("read the engine's flags: %w", err)
	}
	if f.library == "" || f.dataDir == "" || f.native == "" || f.http == "" {
		return f, errors.New("read the engine's flags: this command is started by usher itself, never by hand")
	}
	return f, nil
}

// RunChild is the body of the hidden command that [Server] starts: it becomes the
// engine and returns once standard input has ended and the engine has stopped
// cleanly. It must own the process: it takes over signals, standard input and
// file descriptor 3, and the caller exits when it returns.
func RunChild(args []string) error {
	signal.Ignore(syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	f, err := parseChildFlags(args)
	if err != nil {
		return err
	}
	go watchLifeline(os.NewFile(lifelineFD, "lifeline"), f.grace)
	unlock, err := lockFolder(f.dataDir)
	if err != nil {
		return err
	}
	defer unlock()
	yieldToDecisions()
	if err := serve(f); err != nil {
		return err
	}
	// The query files ended. When that was not because of the parent, say so.
	if n, err := os.Stdin.Read(make([]byte, 1)); n > 0 || !errors.Is(err, io.EOF) {
		return errors.New("run the engine: it stopped by itself")
	}
	return nil
}

// niceness of the engine's threads.
const niceness = 5

// yieldToDecisions makes this thread, and the engine's threads that it starts,
// give way to the parent when there is not enough processor for both: storing may
// take a little longer, a bot's answer may not. Not being allowed to is no fault.
func yieldToDecisions() {
	runtime.LockOSThread() // never unlocked: the niceness stays with the thread
	_ = syscall.Setpriority(syscall.PRIO_PROCESS, 0, niceness)
}

// watchLifeline ends this process when the parent has gone and the clean stop,
// begun by the end of standard input, takes longer than grace.
func watchLifeline(pipe *os.File, grace time.Duration) {
	// Any end of the pipe, an error too, means that there is no parent.
	_, _ = io.Copy(io.Discard, pipe)
	time.Sleep(grace)
	_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
}

// lockFolder waits until no other engine has the folder. The kernel drops the
// lock with the process, whatever ended it. The wait itself is bounded by the
// parent: it closes the lifeline when the start takes too long.
func lockFolder(dir string) (unlock func(), err error) {
	file, err := os.OpenFile(filepath.Join(dir, "engine.lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock the data folder: %w", err)
	}
	if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX); err != nil {
		return nil, errors.Join(fmt.Errorf("lock the data folder %q: %w", dir, err), file.Close())
	}
	return func() { _ = file.Close() }, nil
}

// serve loads the library and stays in it until standard input ends.
func serve(f childFlags) error {
	host, nativePort, err := net.SplitHostPort(f.native)
	if err != nil {
		return fmt.Errorf("read the native address: %w", err)
	}
	_, httpPort, err := net.SplitHostPort(f.http)
	if err != nil {
		return fmt.Errorf("read the HTTP address: %w", err)
	}
	start := filepath.Join(f.dataDir, "start.sql")
	if err := writeFile(start, "SYSTEM START LISTEN QUERIES ALL\n"); err != nil {
		return fmt.Errorf("write the start query: %w", err)
	}
	lib, err := purego.Dlopen(f.library, purego.RTLD_NOW|purego.RTLD_GLOBAL)
	if err != nil {
		return fmt.Errorf("load the engine: %w", err)
	}
	return cmdline(lib, []string{
		"clickhouse", "--path=" + filepath.Join(f.dataDir, "store"), "--config-file=" + filepath.Join(f.dataDir, "config.xml"),
		"--listen_host=" + host, "--tcp_port=" + nativePort, "--http_port=" + httpPort,
		"--queries-file=" + start, "--queries-file=/dev/stdin",
	})
}

// cmdline calls the library's chdb_query_cmdline(argc, argv).
func cmdline(lib uintptr, args []string) error {
	for _, symbol := range []string{"chdb_set_signal_handlers_enabled", "chdb_query_cmdline"} {
		if _, err := purego.Dlsym(lib, symbol); err != nil {
			return fmt.Errorf("load the engine: %w", err)
		}
	}
	var setSignalHandlers func(enabled int32)
	var run func(argc int32, argv unsafe.Pointer) unsafe.Pointer
	purego.RegisterLibFunc(&setSignalHandlers, lib, "chdb_set_signal_handlers_enabled")
	purego.RegisterLibFunc(&run, lib, "chdb_query_cmdline")
	setSignalHandlers(0)

	var pins runtime.Pinner
	defer pins.Unpin()
	argv := make([]*byte, len(args)+1) // C wants a closing NULL
	for i, arg := range args {
		text := append([]byte(arg), 0)
		argv[i] = &text[0]
		pins.Pin(argv[i])
	}
	pins.Pin(&argv[0])
	if run(int32(len(args)), unsafe.Pointer(&argv[0])) == nil {
		return errors.New("run the engine: it reported a failure, see its output")
	}
	return nil
}
