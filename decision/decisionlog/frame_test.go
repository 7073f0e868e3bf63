package decisionlog

import (
	"bytes"
	"errors"
	"log/slog"
	"os"
	"reflect"
	"syscall"
	"testing"

	"pgregory.net/rapid"

	"github.com/usherhq/usher/pipeline/event"
)

func messages() *rapid.Generator[[]event.Message] {
	word := rapid.SliceOfN(rapid.Byte(), 0, 40)
	header := rapid.Custom(func(t *rapid.T) event.Header {
		return event.Header{Key: rapid.String().Draw(t, "key"), Value: word.Draw(t, "value")}
	})
	return rapid.SliceOfN(rapid.Custom(func(t *rapid.T) event.Message {
		m := event.Message{Topic: rapid.String().Draw(t, "topic"), Key: word.Draw(t, "key"), Value: word.Draw(t, "value")}
		if hs := rapid.SliceOfN(header, 0, 3).Draw(t, "headers"); len(hs) > 0 {
			m.Headers = hs
		}
		return m
	}), 1, 5)
}

func TestFrameRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := messages().Draw(t, "messages")
		frame := appendFrame(nil, want)
		got, size, err := readFrame(append(bytes.Clone(frame), "more"...))
		if err != nil || size != len(frame) || !reflect.DeepEqual(got, want) {
			t.Fatalf("read %v, %d bytes, %v; want %v, %d bytes", got, size, err, want, len(frame))
		}
		cut := rapid.IntRange(0, len(frame)-1).Draw(t, "cut")
		if _, _, err := readFrame(frame[:cut]); err == nil {
			t.Fatalf("a frame cut at %d of %d was read", cut, len(frame))
		}
		bit := rapid.IntRange(0, len(frame)*8-1).Draw(t, "bit")
		frame[bit/8] ^= 1 << (bit % 8)
		if _, _, err := readFrame(frame); err == nil {
			t.Fatalf("a frame with bit %d turned was read", bit)
		}
	})
}

// Whatever happens to a part of a segment, all frames outside of it are found.
func TestDamageCostsOnlyWhatItHits(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var data []byte
		var want []event.Message
		frames := rapid.IntRange(2, 8).Draw(t, "frames")
		hit := rapid.IntRange(0, frames-1).Draw(t, "hit")
		for i := range frames {
			msgs := messages().Draw(t, "messages")
			at := len(data)
			data = appendFrame(data, msgs)
			if i != hit {
				want = append(want, msgs...)
				continue
			}
			if keep := rapid.IntRange(0, len(data)-at-1).Draw(t, "keep"); rapid.Bool().Draw(t, "torn") {
				data = data[:at+keep]
			} else {
				data[at+keep] ^= 0x55
			}
		}
		var b batch
		for used := 0; used < len(data); {
			part := min(len(data), used+rapid.IntRange(1, len(data)).Draw(t, "chunk"))
			n := b.fill(data[used:part], 1000, part == len(data))
			if n == 0 && part == len(data) {
				t.Fatal("no progress at the end")
			}
			used += n
		}
		if !reflect.DeepEqual(b.msgs, want) {
			t.Fatalf("read %d messages, want the %d outside of frame %d", len(b.msgs), len(want), hit)
		}
	})
}

func FuzzReadFrame(f *testing.F) {
	f.Add(appendFrame(nil, []event.Message{{Topic: "t", Key: []byte("k"), Value: []byte("v"), Headers: []event.Header{{Key: "h"}}}}))
	f.Add([]byte(frameMark))
	f.Fuzz(func(t *testing.T, data []byte) {
		if _, size, err := readFrame(data); err == nil && (size <= frameHead || size > len(data)) {
			t.Errorf("a frame of %d bytes in %d", size, len(data))
		}
	})
}

func TestAppendToAFullDisk(t *testing.T) {
	cfg := DefaultConfig()
	cfg.Dir = t.TempDir()
	l, err := Open(cfg, Deps{Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	m := event.Message{Topic: event.TopicDecisions, Value: []byte("x")}
	if err := l.Append(m); err != nil {
		t.Fatal(err)
	}
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	// The device refuses each write as a full disk does, and cannot be cut back.
	_ = l.active.file.Close()
	l.active.file = full
	if err := l.Append(m); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("Append = %v, want a full disk", err)
	}
	if err := l.Append(m); err != nil {
		t.Errorf("Append with room again = %v", err)
	}
	if s := l.Stats(); s.NotRecorded != 1 || s.Recorded != 2 || s.Backlog != 2 {
		t.Errorf("stats = %+v, want 2 recorded and 1 not", s)
	}
}
