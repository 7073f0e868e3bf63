package decisionlog

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// segment is one file of frames. The active one is guarded by Log.mu; the older
// ones belong to the publisher.
type segment struct {
	number uint64
	path   string
	file   *os.File
	size   int64 // bytes of whole frames
}

const segmentSuffix = ".seg"

// recover locks the folder, takes up the segments that an earlier process left
// and begins a new one.
func (l *Log) recover() error {
	if err := os.MkdirAll(l.cfg.Dir, 0o700); err != nil {
		return err
	}
	var err error
	if l.lock, err = os.OpenFile(l.path("lock"), os.O_RDWR|os.O_CREATE, 0o600); err != nil {
		return err
	}
	if err = syscall.Flock(int(l.lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return fmt.Errorf("another process uses it: %w", err)
	}
	if l.cursor, err = os.OpenFile(l.path("cursor"), os.O_RDWR|os.O_CREATE, 0o600); err != nil {
		return err
	}
	paths, err := filepath.Glob(l.path("*" + segmentSuffix))
	if err != nil {
		return err
	}
	slices.Sort(paths)
	at := readCursor(l.cursor)
	last := at.segment
	for _, path := range paths {
		s, err := l.takeUp(path, at)
		if err != nil {
			return err
		}
		if s != nil {
			last = max(last, s.number)
		}
	}
	l.active, err = l.create(last + 1)
	return err
}

// takeUp opens a segment of an earlier process and counts what it has left to
// publish. It removes a segment that the log has whole.
func (l *Log) takeUp(path string, at position) (*segment, error) {
	number, err := strconv.ParseUint(strings.TrimSuffix(filepath.Base(path), segmentSuffix), 10, 64)
	if err != nil {
		return nil, fmt.Errorf("read segment name %q: %w", path, err)
	}
	if number < at.segment {
		return nil, os.Remove(path)
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	s := &segment{number: number, path: path, file: file}
	l.older = append(l.older, s)
	info, err := file.Stat()
	if err != nil {
		return nil, err
	}
	s.size = info.Size()
	l.bytes += s.size
	from := position{segment: number}
	if number == at.segment {
		from.offset = at.offset
	}
	for {
		batch, next, err := s.read(from.offset, l.cfg.Batch, s.size)
		if err != nil {
			return nil, err
		}
		l.backlog.Add(int64(len(batch.msgs)))
		if next == from.offset {
			return s, nil
		}
		from.offset = next
	}
}

// create begins a segment.
func (l *Log) create(number uint64) (*segment, error) {
	path := l.path(fmt.Sprintf("%020d%s", number, segmentSuffix))
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	return &segment{number: number, path: path, file: file}, nil
}

// rotate begins a new active segment. Log.mu must be held.
func (l *Log) rotate() error {
	next, err := l.create(l.active.number + 1)
	if err != nil {
		return err
	}
	l.older = append(l.older, l.active)
	l.active = next
	return nil
}

// release closes every file and gives the folder back.
func (l *Log) release() error {
	files := []*os.File{l.cursor, l.lock}
	for _, s := range l.older {
		files = append(files, s.file)
	}
	if l.active != nil {
		files = append(files, l.active.file)
	}
	var errs []error
	for _, f := range files {
		if f != nil {
			if err := f.Close(); !errors.Is(err, fs.ErrClosed) {
				errs = append(errs, err)
			}
		}
	}
	return errors.Join(errs...)
}

func (l *Log) path(name string) string { return filepath.Join(l.cfg.Dir, name) }

// position is how far the log has acknowledged: everything before it.
type position struct {
	segment uint64
	offset  int64
}

const cursorSize = 20

// readCursor reads the position; without one that can be read, everything that
// is left counts as not published.
func readCursor(f io.ReaderAt) position {
	var b [cursorSize]byte
	if n, _ := f.ReadAt(b[:], 0); n < cursorSize || checksum(b[:16]) != binary.LittleEndian.Uint32(b[16:]) {
		return position{}
	}
	return position{
		segment: binary.LittleEndian.Uint64(b[:]),
		offset:  int64(binary.LittleEndian.Uint64(b[8:])), //nolint:gosec // written from an int64
	}
}

// writeCursor keeps the position, so that a restart repeats little.
func writeCursor(f io.WriterAt, at position) error {
	var b [cursorSize]byte
	binary.LittleEndian.PutUint64(b[:], at.segment)
	binary.LittleEndian.PutUint64(b[8:], uint64(at.offset)) //nolint:gosec // never negative
	binary.LittleEndian.PutUint32(b[16:], checksum(b[:16]))
	_, err := f.WriteAt(b[:], 0)
	return err
}
