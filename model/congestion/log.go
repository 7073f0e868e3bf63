package congestion

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"time"

	"github.com/usherhq/usher/internal/fault"
)

// Incident is one row of a routing log: what was known when it was opened, where
// people sent it first, who resolved it and when.
type Incident struct {
	Opened, Resolved time.Time // Resolved is zero when nobody knows of it
	Channel          string
	Category         string
	Known            map[string]string // values as first logged; empty ones are not in it
	First, Final     string
	Updates          float64 // entries in its history, the log's only measure of work
}

// knownColumns are those that were known when an incident was opened.
var knownColumns = [...]string{
	"caller_id", "opened_by", "location", "category", "subcategory", "symptom", "impact", "urgency", "priority", "notify",
}

// ReadLog reads a routing log as CSV, gzip or not, with the columns of the incident
// log and returns it in the order of opening. Rows whose final group nobody knows are
// left out. A row that cannot be read is an Invalid fault that names its line.
func ReadLog(in io.Reader) ([]Incident, error) {
	buffered := bufio.NewReader(in)
	in = buffered
	if magic, _ := buffered.Peek(2); bytes.Equal(magic, []byte{0x1f, 0x8b}) {
		var err error
		if in, err = gzip.NewReader(buffered); err != nil {
			return nil, fault.New(fault.Invalid, "BAD_LOG", "the routing log cannot be unpacked: %v", err)
		}
	}
	r := csv.NewReader(in)
	at, err := readHead(r)
	if err != nil {
		return nil, err
	}
	var out []Incident
	for {
		row, err := r.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, fault.New(fault.Invalid, "BAD_LOG", "the routing log cannot be read: %v", err)
		}
		one, err := readIncident(at, row)
		if err != nil {
			line, _ := r.FieldPos(0)
			return nil, fault.New(fault.Invalid, "BAD_LOG", "the routing log, line %d: %v", line, err)
		}
		if one.Final != "" && one.First != "" {
			out = append(out, one)
		}
	}
	slices.SortStableFunc(out, func(a, b Incident) int { return a.Opened.Compare(b.Opened) })
	return out, nil
}

// readHead finds the columns.
func readHead(r *csv.Reader) (map[string]int, error) {
	head, err := r.Read()
	if err != nil {
		return nil, fault.New(fault.Invalid, "BAD_LOG", "the routing log has no header: %v", err)
	}
	at := map[string]int{}
	for i, name := range head {
		at[name] = i
	}
	var check fault.Check
	for _, name := range []string{"opened_at", "resolved_at", "contact_type", "category", "first_group", "final_group", "sys_mod_count"} {
		if _, ok := at[name]; !ok {
			check.Add("header", "lacks the column %q", name)
		}
	}
	if err := check.Err("the routing log cannot be used"); err != nil {
		return nil, err
	}
	return at, nil
}

func readIncident(at map[string]int, row []string) (Incident, error) {
	const minute = "2006-01-02T15:04"
	get := func(name string) string { return row[at[name]] }
	in := Incident{
		Channel: get("contact_type"), Category: get("category"), Known: map[string]string{},
		First: get("first_group"), Final: get("final_group"),
	}
	for _, name := range knownColumns {
		if i, ok := at[name]; ok && row[i] != "" {
			in.Known[name] = row[i]
		}
	}
	var err error
	if in.Opened, err = time.Parse(minute, get("opened_at")); err != nil {
		return in, fmt.Errorf("column opened_at: %w", err)
	}
	if v := get("resolved_at"); v != "" {
		if in.Resolved, err = time.Parse(minute, v); err != nil {
			return in, fmt.Errorf("column resolved_at: %w", err)
		}
	}
	if in.Updates, err = strconv.ParseFloat(get("sys_mod_count"), 64); err != nil {
		return in, fmt.Errorf("column sys_mod_count: %w", err)
	}
	return in, nil
}
