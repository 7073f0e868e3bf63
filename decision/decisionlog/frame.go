package decisionlog

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"

	"github.com/usherhq/usher/pipeline/event"
)

// A frame is what one Append leaves in a segment: a mark, the length and the
// CRC-32C of the body (four bytes each, little endian), and the body, which holds
// one message or several. A frame counts whole or not at all. The mark serves to
// find the next frame after damaged bytes.
const (
	frameHead = 12
	maxFrame  = 64 << 20
)

// frameMark begins every frame.
const frameMark = "USF1"

// errDamaged says that bytes are not what was written.
var errDamaged = errors.New("damaged frame")

// appendFrame encodes the messages as one frame behind buf.
func appendFrame(buf []byte, msgs []event.Message) []byte {
	start := len(buf)
	buf = append(buf, frameMark...)
	buf = append(buf, 0, 0, 0, 0, 0, 0, 0, 0)
	buf = binary.AppendUvarint(buf, uint64(len(msgs)))
	for i := range msgs {
		m := &msgs[i]
		buf = appendBytes(buf, m.Topic)
		buf = appendBytes(buf, m.Key)
		buf = appendBytes(buf, m.Value)
		buf = binary.AppendUvarint(buf, uint64(len(m.Headers)))
		for _, h := range m.Headers {
			buf = appendBytes(buf, h.Key)
			buf = appendBytes(buf, h.Value)
		}
	}
	body := buf[start+frameHead:]
	binary.LittleEndian.PutUint32(buf[start+4:], uint32(len(body))) //nolint:gosec // Append bounds it
	binary.LittleEndian.PutUint32(buf[start+8:], checksum(body))
	return buf
}

func appendBytes[T string | []byte](buf []byte, v T) []byte {
	return append(binary.AppendUvarint(buf, uint64(len(v))), v...)
}

func checksum(body []byte) uint32 { return crc32.Checksum(body, crc32.MakeTable(crc32.Castagnoli)) }

// readFrame takes the frame at the start of data apart. Its messages own their
// bytes. io.ErrUnexpectedEOF means that data ends before the frame does.
func readFrame(data []byte) (msgs []event.Message, size int, err error) {
	if len(data) < frameHead {
		return nil, 0, io.ErrUnexpectedEOF
	}
	length := int(binary.LittleEndian.Uint32(data[4:]))
	if string(data[:4]) != frameMark || length > maxFrame {
		return nil, 0, errDamaged
	}
	if len(data) < frameHead+length {
		return nil, 0, io.ErrUnexpectedEOF
	}
	body := data[frameHead : frameHead+length]
	if checksum(body) != binary.LittleEndian.Uint32(data[8:]) {
		return nil, 0, errDamaged
	}
	msgs, err = readMessages(bytes.Clone(body))
	return msgs, frameHead + length, err
}

// readMessages takes a frame's body apart; the messages share its memory.
func readMessages(body []byte) ([]event.Message, error) {
	r := reader{rest: body}
	n := r.count()
	msgs := make([]event.Message, 0, min(n, 1024))
	for ; n > 0 && !r.bad; n-- {
		m := event.Message{Topic: string(r.bytes()), Key: r.bytes(), Value: r.bytes()}
		for h := r.count(); h > 0 && !r.bad; h-- {
			m.Headers = append(m.Headers, event.Header{Key: string(r.bytes()), Value: r.bytes()})
		}
		msgs = append(msgs, m)
	}
	if r.bad || len(r.rest) > 0 {
		return nil, errDamaged
	}
	return msgs, nil
}

// reader reads lengths and byte strings; bad is set once it runs out.
type reader struct {
	rest []byte
	bad  bool
}

func (r *reader) count() uint64 {
	n, size := binary.Uvarint(r.rest)
	if size <= 0 {
		r.bad = true
		return 0
	}
	r.rest = r.rest[size:]
	return n
}

func (r *reader) bytes() []byte {
	n := r.count()
	if n > uint64(len(r.rest)) {
		r.bad = true
		return nil
	}
	v := r.rest[:n:n]
	r.rest = r.rest[n:]
	return v
}

// nextFrame finds where, after damaged bytes, a frame begins again: a whole one,
// or, unless data is final, one that data cuts off. It returns len(data) when
// none does.
func nextFrame(data []byte, final bool) int {
	for at := 1; at < len(data); at++ {
		i := bytes.Index(data[at:], []byte(frameMark))
		if i < 0 {
			break
		}
		at += i
		_, _, err := readFrame(data[at:])
		if err == nil || (!final && errors.Is(err, io.ErrUnexpectedEOF)) {
			return at
		}
	}
	return len(data)
}
