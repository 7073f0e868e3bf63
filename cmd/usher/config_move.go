package main

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/usherhq/usher/internal/fault"
	"github.com/usherhq/usher/pipeline/configlog"
	"github.com/usherhq/usher/pipeline/event"
)

// movedResource is one line of an export.
type movedResource struct {
	Account string          `json:"account"`
	Kind    string          `json:"kind"`
	Name    string          `json:"name"`
	Value   json.RawMessage `json:"value"`
}

func (r movedResource) String() string {
	return strings.TrimPrefix(r.Account+" "+r.Kind+" "+r.Name, " ")
}

// exportable are the kinds that make sense elsewhere, in the order they have to
// be written. Tokens open the doors of one installation, and models are rows of
// its warehouse: neither moves.
func exportable() []string {
	return []string{configlog.KindAccount, configlog.KindObjective, configlog.KindPolicy, configlog.KindMode}
}

// exportState writes the current resources, of one account or of all, as JSON lines
// in a stable order.
func exportState(st *configlog.State, account string, out io.Writer) error {
	accounts := st.Accounts()
	if account != "" {
		if !slices.Contains(accounts, account) {
			return fault.New(fault.NotFound, "NOT_FOUND", "account %q does not exist", account)
		}
		accounts = []string{account}
	}
	lines := json.NewEncoder(out)
	for _, account := range accounts {
		for _, kind := range exportable() {
			for _, r := range st.List(account, kind) {
				if err := lines.Encode(movedResource{r.Account, r.Kind, r.Name, r.Value}); err != nil {
					return fmt.Errorf("export %s %q: %w", kind, r.Name, err)
				}
			}
		}
	}
	return nil
}

// readExport reads the lines of an export and names every fault.
func readExport(in io.Reader) ([]movedResource, error) {
	var list []movedResource
	var check fault.Check
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, maxLine)
	for number := 1; lines.Scan(); number++ {
		if len(bytes.TrimSpace(lines.Bytes())) == 0 {
			continue
		}
		at := fmt.Sprintf("line %d", number)
		var r movedResource
		decoder := json.NewDecoder(bytes.NewReader(lines.Bytes()))
		decoder.DisallowUnknownFields()
		switch err := decoder.Decode(&r); {
		case err != nil:
			check.Add(at, "%v", err)
		case r.Account == "" || r.Name == "" || len(r.Value) == 0:
			check.Add(at, "account, name and value are needed")
		case !slices.Contains(exportable(), r.Kind):
			check.Add(at, "kind %q cannot be imported, only %s", r.Kind, strings.Join(exportable(), ", "))
		}
		list = append(list, r)
	}
	if err := lines.Err(); err != nil {
		check.Add("input", "%v", err)
	}
	slices.SortStableFunc(list, func(a, b movedResource) int {
		return cmp.Compare(slices.Index(exportable(), a.Kind), slices.Index(exportable(), b.Kind))
	})
	return list, check.Err("nothing was imported: the export cannot be read")
}

// importer writes resources that differ from what is there.
type importer struct {
	store          *configlog.Store
	author, reason string
	dryRun         bool
	out            io.Writer
}

// run imports the list and tells what it did, one line each. It stops at the
// first refusal; running it again goes on from there.
func (i *importer) run(ctx context.Context, list []movedResource) error {
	counts := map[string]int{}
	for _, r := range list {
		what, err := i.write(ctx, r)
		if err != nil {
			return fmt.Errorf("import %s: %w", r, err)
		}
		counts[what]++
		if what != "unchanged" {
			if _, err := fmt.Fprintln(i.out, what, r); err != nil {
				return err
			}
		}
	}
	verb := "imported"
	if i.dryRun {
		verb = "would import"
	}
	_, err := fmt.Fprintf(i.out, "%s: %d new, %d changed, %d unchanged\n", verb, counts["new"], counts["changed"], counts["unchanged"])
	return err
}

func (i *importer) write(ctx context.Context, r movedResource) (string, error) {
	current, exists := i.store.State().Get(r.Account, r.Kind, r.Name)
	what := "new"
	if exists {
		what = "changed"
		same, err := sameJSON(current.Value, r.Value)
		if err != nil || same {
			return "unchanged", err
		}
	}
	if i.dryRun {
		return what, nil
	}
	_, err := i.store.Write(ctx, event.ConfigChange{
		Account: r.Account, Kind: r.Kind, Name: r.Name, Base: current.Revision,
		Value: r.Value, Author: i.author, Reason: i.reason,
	})
	return what, err
}

// sameJSON compares two documents without regard to space.
func sameJSON(a, b []byte) (bool, error) {
	var left, right bytes.Buffer
	if err := errors.Join(json.Compact(&left, a), json.Compact(&right, b)); err != nil {
		return false, fmt.Errorf("compare documents: %w", err)
	}
	return bytes.Equal(left.Bytes(), right.Bytes()), nil
}
