package main

import (
	"bufio"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"

	usherv1 "github.com/usherhq/usher/proto/gen/usher/v1"
)

// Load on each server: as many as keep two cores busy.
const (
	connections = 2
	streams     = 32
)

// question is a request of the usual size: ten facts, eight candidates.
func question() *usherv1.NextActionsRequest {
	q := &usherv1.NextActionsRequest{
		Parent: "accounts/default", ConversationId: "conversation-0001", ConsumerId: "consumer-77", Channel: "web", Intent: "billing",
		Attributes: map[string]*structpb.Value{}, MaxActions: 3, Baseline: &usherv1.Action{Target: "skill-0"},
	}
	for i := range 5 {
		q.Attributes[fmt.Sprintf("fact_%d", i)] = structpb.NewStringValue(fmt.Sprintf("value-%d", i))
		q.Attributes[fmt.Sprintf("number_%d", i)] = structpb.NewNumberValue(float64(i) * 1.5)
	}
	for i := range 8 {
		q.Candidates = append(q.Candidates, &usherv1.ActionCandidate{Type: "TRANSFER_TO_SKILL", Target: fmt.Sprintf("skill-%d", i)})
	}
	return q
}

// rulesOf are the policies of the measured account: nineteen that look at the
// facts and do not match, one that lets the model rank.
func rulesOf() []string {
	var out []string
	for i := range 19 {
		out = append(out, fmt.Sprintf(`{"name":"never-%02d","enabled":true,"when":{"all":[
			{"attribute":"intent","operator":"equal","value":"other-%d"},{"attribute":"number_1","operator":"greater_than","value":100}]},
			"effect":{"fixed":{"actions":[{"type":"TRANSFER_TO_SKILL","target":"skill-1"}]}}}`, i, i))
	}
	return append(out, `{"name":"rank","enabled":true,"effect":{"rank":{}}}`)
}

// node is a running decide role in a folder of its own, with a broker in another
// process. The warehouse is away: a decision does not need it.
type node struct {
	GRPC  string `json:"grpc"`
	Token string `json:"admin_token"`
	Ready bool   `json:"ready"`
	cmd   *exec.Cmd
	dir   string
	stop  func() // ends the broker
}

func startNode(usher string) (n *node, err error) {
	dir, err := os.MkdirTemp("", "peers")
	if err != nil {
		return nil, err
	}
	log, stop, err := startSelf("broker", filepath.Join(dir, "log"))
	if err != nil {
		return nil, err
	}
	free := "127.0.0.1:0"
	n = &node{dir: dir, stop: stop, cmd: exec.Command(usher, "decide", "--ready-json", "--data-dir", filepath.Join(dir, "data"), "--log-level", "error",
		"--http-addr", free, "--grpc-addr", free, "--admin-addr", free, "--kafka-brokers", log, "--clickhouse-dsn", "clickhouse://nobody@127.0.0.1:1/usher")}
	n.cmd.Stderr = os.Stderr
	out, err := n.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := n.cmd.Start(); err != nil {
		return nil, err
	}
	lines := bufio.NewScanner(out)
	for !n.Ready && lines.Scan() {
		_ = json.Unmarshal(lines.Bytes(), n) // other lines are for people
	}
	if !n.Ready || n.GRPC == "" {
		n.close()
		return nil, errors.New("usher decide did not become ready with a gRPC address")
	}
	go func() { _, _ = io.Copy(io.Discard, out) }()
	return n, nil
}

func (n *node) close() {
	_ = n.cmd.Process.Signal(syscall.SIGTERM)
	_ = n.cmd.Wait()
	n.stop()
	_ = os.RemoveAll(n.dir)
}

// prepare writes the policies and returns one real answer, which the echo server
// will give as well.
func (n *node) prepare(ctx context.Context) (*usherv1.NextActionsResponse, error) {
	conn, err := grpc.NewClient(n.GRPC, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	ctx = withToken(ctx, n.Token)
	policies := usherv1.NewPolicyServiceClient(conn)
	for _, doc := range rulesOf() {
		var p usherv1.Policy
		if err := protojson.Unmarshal([]byte(doc), &p); err != nil {
			return nil, err
		}
		req := &usherv1.CreatePolicyRequest{Parent: "accounts/default", PolicyId: p.GetName(), Policy: &p}
		if _, err := policies.CreatePolicy(ctx, req); err != nil {
			return nil, fmt.Errorf("create policy %s: %w", p.GetName(), err)
		}
	}
	return usherv1.NewDecisionServiceClient(conn).NextActions(ctx, question())
}

func withToken(ctx context.Context, token string) context.Context {
	return metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+token)
}

// echo is the stock server: grpc-go with its defaults, no auth, no work.
type echo struct {
	usherv1.UnimplementedDecisionServiceServer
	answer *usherv1.NextActionsResponse
}

func (e *echo) NextActions(context.Context, *usherv1.NextActionsRequest) (*usherv1.NextActionsResponse, error) {
	return e.answer, nil
}

// serveEcho is the echo server's process.
func serveEcho(file string) error {
	data, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	e := &echo{answer: &usherv1.NextActionsResponse{}}
	if err := proto.Unmarshal(data, e.answer); err != nil {
		return err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	s := grpc.NewServer()
	usherv1.RegisterDecisionServiceServer(s, e)
	fmt.Println(l.Addr())
	go func() { _, _ = io.Copy(io.Discard, os.Stdin); s.Stop() }()
	return s.Serve(l)
}

// load returns requests a second against a server over d. h2load costs far less
// processor time than a Go client, so it is used where it is installed.
func load(ctx context.Context, addr, token string, d time.Duration, tmp string) (float64, error) {
	if tool, err := exec.LookPath("h2load"); err == nil {
		return loadH2(ctx, tool, addr, token, d, tmp)
	}
	return loadGo(ctx, addr, token, d)
}

func loadH2(ctx context.Context, tool, addr, token string, d time.Duration, tmp string) (float64, error) {
	body, err := proto.Marshal(question())
	if err != nil {
		return 0, err
	}
	frame := binary.BigEndian.AppendUint32([]byte{0}, uint32(len(body)))
	file := filepath.Join(tmp, "request.bin")
	if err := os.WriteFile(file, append(frame, body...), 0o600); err != nil {
		return 0, err
	}
	out, err := exec.CommandContext(ctx, tool, "-c", strconv.Itoa(connections), "-m", strconv.Itoa(streams), "-t1",
		"-D", strconv.Itoa(max(1, int(d.Seconds()))), "-d", file, "-H", "content-type: application/grpc", "-H", "te: trailers",
		"-H", "authorization: Bearer "+token, "http://"+addr+"/usher.v1.DecisionService/NextActions").CombinedOutput()
	if err != nil {
		return 0, fmt.Errorf("h2load: %w: %s", err, out)
	}
	m := regexp.MustCompile(`finished in [^,]+, ([0-9.]+) req/s`).FindSubmatch(out)
	if m == nil || regexp.MustCompile(`[1-9]\d* (failed|errored|timeout)`).Match(out) {
		return 0, fmt.Errorf("h2load: %s", out)
	}
	return strconv.ParseFloat(string(m[1]), 64)
}

func loadGo(ctx context.Context, addr, token string, d time.Duration) (float64, error) {
	ctx, cancel := context.WithTimeout(withToken(ctx, token), d+30*time.Second)
	defer cancel()
	var (
		wg     sync.WaitGroup
		done   atomic.Int64
		failed atomic.Pointer[error]
	)
	begin := time.Now()
	for range connections {
		conn, err := grpc.NewClient(addr, grpc.WithTransportCredentials(insecure.NewCredentials()))
		if err != nil {
			return 0, err
		}
		defer conn.Close()
		client := usherv1.NewDecisionServiceClient(conn)
		for range streams {
			wg.Go(func() {
				for q := question(); time.Since(begin) < d; done.Add(1) {
					if _, err := client.NextActions(ctx, q); err != nil {
						failed.Store(&err)
						return
					}
				}
			})
		}
	}
	wg.Wait()
	if err := failed.Load(); err != nil {
		return 0, *err
	}
	return float64(done.Load()) / time.Since(begin).Seconds(), nil
}

func benchServing(ctx context.Context, usher string, rounds int) ([]row, error) {
	n, err := startNode(usher)
	if err != nil {
		return nil, err
	}
	defer n.close()
	answer, err := n.prepare(ctx)
	if err != nil {
		return nil, err
	}
	if len(answer.GetActions()) == 0 || answer.GetDecisionId() == "" {
		return nil, fmt.Errorf("the answer is empty: %v", answer)
	}
	data, err := proto.Marshal(answer)
	if err != nil {
		return nil, err
	}
	file := filepath.Join(n.dir, "answer.bin")
	if err := os.WriteFile(file, data, 0o600); err != nil {
		return nil, err
	}
	plain, stop, err := startSelf("echo", file)
	if err != nil {
		return nil, err
	}
	defer stop()
	var us, them, ratios []float64
	for round := range rounds + 1 {
		a, err := load(ctx, n.GRPC, n.Token, 2*time.Second, n.dir)
		if err != nil {
			return nil, fmt.Errorf("usher: %w", err)
		}
		b, err := load(ctx, plain, n.Token, 2*time.Second, n.dir)
		if err != nil {
			return nil, fmt.Errorf("echo: %w", err)
		}
		if round == 0 {
			continue // warming up
		}
		us, them, ratios = append(us, a), append(them, b), append(ratios, a/b)
	}
	r := median(ratios)
	return []row{{
		what: "gRPC decide a second / stock echo server", ours: rateText(median(us), "/s"), theirs: rateText(median(them), "/s"), ratio: r,
		goal: ">= 1", met: r >= 1, note: "ours checks the token, runs 20 policies, records each decision on disk and in Kafka",
	}}, nil
}
