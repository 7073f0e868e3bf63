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
// be written: what others speak of comes first. Tokens open the doors of one
// installation, models are rows of its warehouse, and a draft is about a list of
// one moment: none of them moves.
func exportable() []string {
	return []string{
		configlog.KindAccount, configlog.KindObjective, configlog.KindSkill, configlog.KindAgent, configlog.KindBot,
		configlog.KindCalendar, configlog.KindFunction, configlog.KindAttribute, configlog.KindPolicy, configlog.KindMode,
	}
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
				value, err := withoutSecrets(r.Kind, r.Value)
				if err == nil {
					err = lines.Encode(movedResource{r.Account, r.Kind, r.Name, value})
				}
				if err != nil {
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

// run imports the list and tells what it did, one line each. The policies of an
// account become live together. It stops at the first refusal; running it again
// goes on from there.
func (i *importer) run(ctx context.Context, list []movedResource) error {
	counts := map[string]int{}
	for len(list) > 0 {
		n := together(list)
		if err := i.write(ctx, list[:n], counts); err != nil {
			return err
		}
		list = list[n:]
	}
	verb := "imported"
	if i.dryRun {
		verb = "would import"
	}
	_, err := fmt.Fprintf(i.out, "%s: %d new, %d changed, %d unchanged\n", verb, counts["new"], counts["changed"], counts["unchanged"])
	return err
}

// together counts how many of the first resources are written as one change.
func together(list []movedResource) int {
	n := 1
	for list[0].Kind == configlog.KindPolicy && n < len(list) && list[n].Kind == list[0].Kind && list[n].Account == list[0].Account {
		n++
	}
	return n
}

// write makes one change of those resources that differ.
func (i *importer) write(ctx context.Context, list []movedResource, counts map[string]int) error {
	var lines []string
	c := event.ConfigChange{Account: list[0].Account, Author: i.author, Reason: i.reason}
	for _, r := range list {
		what, part, err := i.differs(r)
		if err != nil {
			return fmt.Errorf("import %s: %w", r, err)
		}
		counts[what]++
		if what != "unchanged" {
			lines = append(lines, fmt.Sprintln(what, r))
			c.Parts = append(c.Parts, part)
		}
	}
	if len(lines) > 0 && !i.dryRun {
		if _, err := i.store.Write(ctx, c); err != nil {
			return fmt.Errorf("import %s: %w", list[0], err)
		}
	}
	_, err := io.WriteString(i.out, strings.Join(lines, ""))
	return err
}

// differs says whether a resource is new, changed or unchanged, and what writes it.
func (i *importer) differs(r movedResource) (string, event.ConfigPart, error) {
	current, exists := i.store.State().Get(r.Account, r.Kind, r.Name)
	part := event.ConfigPart{Kind: r.Kind, Name: r.Name, Base: current.Revision, Value: r.Value}
	if !exists {
		return "new", part, nil
	}
	var err error
	if part.Value, err = withSecrets(r.Kind, r.Value, current.Value); err != nil {
		return "", part, err
	}
	same, err := sameJSON(current.Value, part.Value)
	if same {
		return "unchanged", part, err
	}
	return "changed", part, err
}

// sameJSON compares two documents without regard to space.
func sameJSON(a, b []byte) (bool, error) {
	var left, right bytes.Buffer
	if err := errors.Join(json.Compact(&left, a), json.Compact(&right, b)); err != nil {
		return false, fmt.Errorf("compare documents: %w", err)
	}
	return bytes.Equal(left.Bytes(), right.Bytes()), nil
}
