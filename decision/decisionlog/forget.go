package decisionlog

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/usherhq/usher/pipeline/event"
)

// Forget lets go of the decisions and outcomes that somebody asks to be forgotten:
// they leave what is at hand for [Log.Recent] and the file of refused messages. What
// waits to be published goes to the log as it is, and the files that hold it go with
// that: the active one is ended here. The functions are called by several goroutines.
func (l *Log) Forget(decision func(*event.Decision) bool, outcome func(*event.Outcome) bool) error {
	for i := range l.recent {
		if d := l.recent[i].Load(); d != nil && decision(d) {
			l.recent[i].CompareAndSwap(d, nil)
		}
	}
	return errors.Join(l.endSegment(), l.forgetRefused(decision, outcome))
}

// endSegment begins a new segment, so that the one before is removed as soon as it
// is published.
func (l *Log) endSegment() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed || l.active.size == 0 {
		return nil
	}
	if err := l.rotate(); err != nil {
		return fmt.Errorf("end a segment of the spool: %w", err)
	}
	select {
	case l.wake <- struct{}{}:
	default:
	}
	return nil
}

// forgetRefused writes the file of refused messages anew without theirs. A line that
// cannot be read goes too: nobody can tell whose it is.
func (l *Log) forgetRefused(decision func(*event.Decision) bool, outcome func(*event.Outcome) bool) (err error) {
	l.refusing.Lock()
	defer l.refusing.Unlock()
	path := l.path(refusedFile)
	old, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read refused messages: %w", err)
	}
	defer old.Close()
	kept, err := os.OpenFile(path+".new", os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("write refused messages: %w", err)
	}
	lines := bufio.NewReader(old)
	for err == nil {
		var line []byte
		if line, err = lines.ReadBytes('\n'); len(line) > 0 && !isTheirs(line, decision, outcome) {
			if _, failed := kept.Write(line); failed != nil {
				err = failed
			}
		}
	}
	err = endOf(err)
	if err == nil {
		err = kept.Sync() // or a power cut leaves an empty file under the name
	}
	if err = errors.Join(err, kept.Close()); err == nil {
		err = os.Rename(path+".new", path)
	}
	if err != nil { // what was written is of people, too
		return fmt.Errorf("write refused messages: %w", errors.Join(err, os.Remove(path+".new")))
	}
	return nil
}

// endOf takes the end of a file for what it is.
func endOf(err error) error {
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

func isTheirs(line []byte, decision func(*event.Decision) bool, outcome func(*event.Outcome) bool) bool {
	var m refusedMessage
	if json.Unmarshal(line, &m) != nil {
		return true
	}
	message := event.Message{Topic: m.Topic, Key: m.Key, Value: m.Value, Headers: m.Headers}
	switch m.Topic {
	case event.TopicDecisions:
		d, err := event.DecodeDecision(&message)
		return err != nil || decision(d)
	case event.TopicOutcomes:
		o, err := event.DecodeOutcome(&message)
		return err != nil || outcome(o)
	default:
		return false
	}
}
