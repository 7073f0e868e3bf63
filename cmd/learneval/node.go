package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/types/known/structpb"

	usherv1 "github.com/usherhq/usher/proto/gen/usher/v1"
)

// pollEvery is how often it is looked whether a model is ready: every look is a query
// to the warehouse that the trainer reads from.
const pollEvery = 50 * time.Millisecond

// account is where the runs through the whole product happen.
const account = "eval"

// node is one Usher with everything inside, as a process of its own: its broker,
// its warehouse, its trainer.
type node struct {
	cmd   *exec.Cmd
	dir   string
	conn  *grpc.ClientConn
	token string

	decisions usherv1.DecisionServiceClient
	outcomes  usherv1.OutcomeServiceClient
	control   usherv1.ControlServiceClient
}

// startNode starts the program with waits next to nothing, and opens an account
// whose objective is to be right and whose model decides.
func startNode(ctx context.Context, usher, engine string, settings ...string) (n *node, err error) {
	dir, err := os.MkdirTemp("", "learneval")
	if err != nil {
		return nil, err
	}
	args := []string{"up", "--ready-json", "--data-dir", filepath.Join(dir, "data"), "--clickhouse-lib", engine, "--log-level", "error"}
	for _, door := range []string{"http", "grpc", "admin", "kafka", "clickhouse", "clickhouse-http"} {
		args = append(args, "--"+door+"-addr", "127.0.0.1:0")
	}
	for _, s := range settings {
		args = append(args, "--set", s)
	}
	n = &node{dir: dir, cmd: exec.Command(usher, args...)} //nolint:gosec,noctx // the program that was just built; close ends it
	n.cmd.Stderr = os.Stderr
	defer func() {
		if err != nil {
			n.close()
		}
	}()
	out, err := n.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := n.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", usher, err)
	}
	var ready struct {
		Ready bool   `json:"ready"`
		GRPC  string `json:"grpc"`
		Token string `json:"admin_token"`
	}
	lines := bufio.NewScanner(out)
	for !ready.Ready && lines.Scan() {
		_ = json.Unmarshal(lines.Bytes(), &ready) // other lines are for people
	}
	if !ready.Ready {
		return nil, fmt.Errorf("%s did not become ready", usher)
	}
	go func() { _, _ = io.Copy(io.Discard, out) }()
	if n.conn, err = grpc.NewClient(ready.GRPC, grpc.WithTransportCredentials(insecure.NewCredentials())); err != nil {
		return nil, err
	}
	n.token = ready.Token
	n.decisions, n.outcomes = usherv1.NewDecisionServiceClient(n.conn), usherv1.NewOutcomeServiceClient(n.conn)
	n.control = usherv1.NewControlServiceClient(n.conn)
	return n, n.open(n.with(ctx))
}

// with adds the token to the calls of a context.
func (n *node) with(ctx context.Context) context.Context {
	return metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+n.token)
}

func (n *node) close() {
	if n.conn != nil {
		_ = n.conn.Close() // nothing is under way
	}
	if n.cmd.Process != nil {
		_ = n.cmd.Process.Signal(syscall.SIGTERM)
		_ = n.cmd.Wait() // it is thrown away
	}
	_ = os.RemoveAll(n.dir)
}

// open makes the account. Its objective follows every refit that is not shown to
// be worse: what is measured is the learner and the way, not the gate's patience.
func (n *node) open(ctx context.Context) error {
	effect, err := structpb.NewStruct(map[string]any{"rank": map[string]any{"objective": "default"}})
	if err != nil {
		return err
	}
	parent := "accounts/" + account
	if _, err := n.control.CreateAccount(ctx, &usherv1.CreateAccountRequest{
		AccountId: account, Account: &usherv1.Account{DisplayName: "Evaluation", DefaultEffect: effect},
	}); err != nil {
		return fmt.Errorf("create account: %w", err)
	}
	objective := &usherv1.Objective{
		Name: parent + "/objectives/default", Terms: []*usherv1.ObjectiveTerm{{Kind: "right", Weight: 1}}, Max: 1, Margin: followAll,
	}
	if _, err = n.control.GetObjective(ctx, &usherv1.GetObjectiveRequest{Name: objective.GetName()}); err == nil {
		_, err = n.control.UpdateObjective(ctx, &usherv1.UpdateObjectiveRequest{Objective: objective})
	} else {
		_, err = n.control.CreateObjective(ctx, &usherv1.CreateObjectiveRequest{Parent: parent, ObjectiveId: "default", Objective: objective})
	}
	if err != nil {
		return fmt.Errorf("set objective: %w", err)
	}
	_, err = n.control.UpdateMode(ctx, &usherv1.UpdateModeRequest{
		Mode: &usherv1.Mode{Name: parent + "/modes/account", Mode: "ON", Objective: "default"}, Reason: "evaluation",
	})
	if err != nil {
		return fmt.Errorf("set mode: %w", err)
	}
	return nil
}

// card is the part of a model card that the runs look at.
type card struct {
	Version string  `json:"version"`
	Rows    float64 `json:"rows"`
	Gate    string  `json:"gate"`
}

// models returns the newest model's card and the version that is live.
func (n *node) models(ctx context.Context) (newest card, live string, err error) {
	list, err := n.control.ListModels(ctx, &usherv1.ListModelsRequest{Parent: "accounts/" + account, PageSize: 100})
	if err != nil {
		return card{}, "", fmt.Errorf("list models: %w", err)
	}
	for i, m := range list.GetModels() {
		if i == 0 {
			text, err := m.GetCard().MarshalJSON()
			if err != nil {
				return card{}, "", err
			}
			if err := json.Unmarshal(text, &newest); err != nil {
				return card{}, "", fmt.Errorf("read a model card: %w", err)
			}
		}
		if m.GetState() == "CHAMPION" {
			live = m.GetName()[strings.LastIndexByte(m.GetName(), '/')+1:]
		}
	}
	return newest, live, nil
}

// fitted waits until a model was fitted to at least so many rows and what is live
// decides, and returns when that was first seen.
func (n *node) fitted(ctx context.Context, rows int, probe *usherv1.NextActionsRequest) (time.Time, error) {
	ctx, stop := context.WithTimeout(ctx, 3*time.Minute)
	defer stop()
	for {
		newest, live, err := n.models(ctx)
		if err != nil {
			return time.Time{}, err
		}
		if int(newest.Rows) >= rows {
			answer, err := n.decisions.NextActions(ctx, probe)
			if err != nil {
				return time.Time{}, err
			}
			if answer.GetModelVersion() == live {
				return time.Now(), nil
			}
		}
		select {
		case <-ctx.Done():
			return time.Time{}, errors.Join(ctx.Err(), fmt.Errorf("the newest model has %g of %d rows", newest.Rows, rows))
		case <-time.After(pollEvery):
		}
	}
}
