package evaluate

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/usherhq/usher/internal/fault"
)

// Table is a small data file held in memory: named columns of strings.
type Table struct {
	// Path is where the table came from, for messages.
	Path string
	// Columns are the header names, in order, without repeats.
	Columns []string
	// Rows hold one cell per column.
	Rows [][]string
}

// ReadTable reads a .csv or .tsv file with a header line; gzip is recognised by
// content, whatever the name. Faults are fault.Invalid and name the
// file and line.
func ReadTable(path string) (*Table, error) {
	in, done, err := openData(path)
	if err != nil {
		return nil, err
	}
	defer done()
	t, err := parseTable(withoutMark(in), isTabbed(path))
	if err != nil {
		return nil, fault.New(fault.Invalid, "FILE_MALFORMED", "cannot read %q: %v", path, err)
	}
	t.Path = path
	return t, nil
}

// openData opens a data file, unpacked when it is gzip. Call done when read.
func openData(path string) (in io.Reader, done func(), err error) {
	f, err := os.Open(path)
	if err != nil {
		if errors.Is(err, os.ErrNotExist) {
			return nil, nil, fault.New(fault.Invalid, "FILE_NOT_FOUND", "no file %q; check the path", path)
		}
		return nil, nil, fault.New(fault.Invalid, "FILE_UNREADABLE", "cannot open %q: %v", path, err)
	}
	done = func() { _ = f.Close() } // read only: nothing can be lost
	br := bufio.NewReaderSize(f, 1<<16)
	in = br
	if magic, _ := br.Peek(2); bytes.Equal(magic, []byte{0x1f, 0x8b}) {
		if in, err = gzip.NewReader(br); err != nil {
			done()
			return nil, nil, fault.New(fault.Invalid, "FILE_DAMAGED", "cannot unpack %q: %v", path, err)
		}
	}
	return in, done, nil
}

// withoutMark skips a byte order mark, which would become part of the first name.
func withoutMark(in io.Reader) io.Reader {
	br := bufio.NewReader(in)
	if mark, _ := br.Peek(3); bytes.Equal(mark, []byte("\xef\xbb\xbf")) {
		_, _ = br.Discard(len(mark)) // these bytes are buffered
	}
	return br
}

func isTabbed(path string) bool {
	p := strings.TrimSuffix(strings.ToLower(path), ".gz")
	return strings.HasSuffix(p, ".tsv") || strings.HasSuffix(p, ".tab")
}

func parseTable(in io.Reader, tabs bool) (*Table, error) {
	var rows [][]string
	var err error
	if tabs {
		rows, err = splitTabs(in)
	} else {
		r := csv.NewReader(in)
		r.LazyQuotes = true
		rows, err = r.ReadAll()
	}
	if err != nil {
		return nil, err
	}
	if len(rows) == 0 {
		return nil, errors.New("the file is empty; its first line must name the columns")
	}
	header := rows[0]
	for i := range header {
		header[i] = strings.TrimSpace(header[i])
		if slices.Contains(header[:i], header[i]) {
			return nil, fmt.Errorf("column %q is named twice in the header", header[i])
		}
	}
	return &Table{Columns: header, Rows: rows[1:]}, nil
}

// splitTabs reads tab-separated lines. A quote means nothing there, as is usual
// for such files, except around a whole cell.
func splitTabs(in io.Reader) ([][]string, error) {
	sc := bufio.NewScanner(in)
	sc.Buffer(make([]byte, 1<<16), 1<<26)
	var rows [][]string
	for line := 1; sc.Scan(); line++ {
		text := strings.TrimSuffix(sc.Text(), "\r")
		if text == "" && line > 1 {
			continue
		}
		cells := strings.Split(text, "\t")
		for i, c := range cells {
			if len(c) >= 2 && c[0] == '"' && c[len(c)-1] == '"' {
				cells[i] = strings.ReplaceAll(c[1:len(c)-1], `""`, `"`)
			}
		}
		if len(rows) > 0 && len(cells) != len(rows[0]) {
			return nil, fmt.Errorf("line %d has %d cells, the header has %d", line, len(cells), len(rows[0]))
		}
		rows = append(rows, cells)
	}
	return rows, sc.Err()
}

// Column returns the position of a named column, or an error that lists what
// there is.
func (t *Table) Column(name string) (int, error) {
	if i := slices.Index(t.Columns, name); i >= 0 {
		return i, nil
	}
	return 0, fault.New(fault.Invalid, "COLUMN_NOT_FOUND", "%q has no column %q; it has: %s",
		t.Path, name, strings.Join(t.Columns, ", "))
}
