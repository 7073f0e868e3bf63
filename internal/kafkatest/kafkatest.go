// Package kafkatest runs a real Apache Kafka broker for tests: one KRaft node
// from its jars, which Maven fetches once, on free loopback ports.
//
// It needs a Java runtime of version 17 or later and Maven. On Debian:
//
//	apt-get install -y openjdk-17-jre-headless maven
package kafkatest

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// startTimeout bounds one start of the broker. It takes about 6 s on two idle
// cores.
const startTimeout = 2 * time.Minute

// Broker is a Kafka broker in a process of its own. Its methods fail the test
// instead of returning errors, and are for one goroutine.
type Broker struct {
	t    testing.TB
	dir  string
	addr string
	path string // class path
	cmd  *exec.Cmd
}

// Start starts a broker with an empty log and stops it when the test ends.
func Start(t testing.TB) *Broker {
	t.Helper()
	b := &Broker{t: t, dir: t.TempDir(), path: classPath(t)}
	ports := freePorts(t, 2)
	b.addr = "127.0.0.1:" + strconv.Itoa(ports[0])
	b.configure(ports)
	// Any base64 of 16 bytes names a cluster.
	b.java("kafka.tools.StorageTool", "format", "-t", "dXNoZXItdGVzdC1sb2c0MQ", "-c", b.file("server.properties"))
	b.Restart()
	t.Cleanup(func() {
		b.Kill()
		if t.Failed() {
			t.Logf("broker log:\n%s", tail(b.file("broker.log"), 4000))
		}
	})
	return b
}

// Addr is the broker's address. It stays the same over restarts.
func (b *Broker) Addr() string { return b.addr }

// Kill ends the broker at once (SIGKILL), as a crash does.
func (b *Broker) Kill() {
	if b.cmd == nil {
		return
	}
	_ = b.cmd.Process.Kill()
	_ = b.cmd.Wait() // reports the kill
	b.cmd = nil
}

// Restart starts a killed broker again on the same data and waits until it
// serves.
func (b *Broker) Restart() {
	b.t.Helper()
	log, err := os.OpenFile(b.file("broker.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		b.t.Fatal(err)
	}
	defer func() { _ = log.Close() }() // the child has its own handle
	before := starts(b.file("broker.log"))
	b.cmd = exec.Command("java", b.arguments("kafka.Kafka", b.file("server.properties"))...) //nolint:gosec,noctx // our own jars; ends with Kill
	b.cmd.Stdout, b.cmd.Stderr = log, log
	endWithParent(b.cmd)
	if err := b.cmd.Start(); err != nil {
		b.t.Fatalf("start the broker: %v", err)
	}
	for deadline := time.Now().Add(startTimeout); ; time.Sleep(20 * time.Millisecond) {
		if starts(b.file("broker.log")) > before {
			return
		}
		if time.Now().After(deadline) {
			b.t.Fatalf("the broker did not start in %s:\n%s", startTimeout, tail(b.file("broker.log"), 4000))
		}
	}
}

// starts counts how often the broker said that it is up.
func starts(path string) int {
	text, err := os.ReadFile(path) //nolint:gosec // our own file
	if err != nil {
		return 0
	}
	return bytes.Count(text, []byte("Kafka Server started"))
}

func (b *Broker) file(name string) string { return filepath.Join(b.dir, name) }

func (b *Broker) configure(ports []int) {
	b.t.Helper()
	controller := "127.0.0.1:" + strconv.Itoa(ports[1])
	text := strings.Join([]string{
		"process.roles=broker,controller",
		"node.id=1",
		"controller.quorum.voters=1@" + controller,
		"listeners=PLAINTEXT://" + b.addr + ",CONTROLLER://" + controller,
		"advertised.listeners=PLAINTEXT://" + b.addr,
		"inter.broker.listener.name=PLAINTEXT",
		"controller.listener.names=CONTROLLER",
		"listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
		"log.dirs=" + filepath.ToSlash(b.file("data")),
		"offsets.topic.replication.factor=1",
		"offsets.topic.num.partitions=1",
		"transaction.state.log.replication.factor=1",
		"transaction.state.log.min.isr=1",
		"transaction.state.log.num.partitions=1",
		"share.coordinator.state.topic.replication.factor=1",
		"share.coordinator.state.topic.min.isr=1",
		"group.initial.rebalance.delay.ms=0",
		"auto.create.topics.enable=false", // a forgotten topic must be an error in a test
		"",
	}, "\n")
	if err := os.WriteFile(b.file("server.properties"), []byte(text), 0o600); err != nil {
		b.t.Fatal(err)
	}
}

// arguments of a small JVM that starts fast.
func (b *Broker) arguments(class string, args ...string) []string {
	return append([]string{
		"-Xms256m", "-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1",
		"-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
		"-Dorg.slf4j.simpleLogger.log.kafka.server.KafkaRaftServer=info",
		"-cp", b.path, class,
	}, args...)
}

func (b *Broker) java(class string, args ...string) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.t.Context(), startTimeout)
	defer cancel()
	out, err := exec.CommandContext(ctx, "java", b.arguments(class, args...)...).CombinedOutput() //nolint:gosec // our own jars
	if err != nil {
		b.t.Fatalf("run %s: %v\n%s", class, err, out)
	}
}

// freePorts are ports that nobody listens on right now.
func freePorts(t testing.TB, n int) []int {
	t.Helper()
	ports := make([]int, n)
	for i := range ports {
		var lc net.ListenConfig
		l, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = l.Close() }() // all at the end, so that they differ
		ports[i] = l.Addr().(*net.TCPAddr).Port
	}
	return ports
}

func tail(path string, n int) string {
	text, err := os.ReadFile(path) //nolint:gosec // our own file
	if err != nil {
		return fmt.Sprint(err)
	}
	return string(text[max(0, len(text)-n):])
}
