package sqlite

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"

	"github.com/headpond/headpond/backends/sqlite/internal/raw"
)

// A sync of the log that failed leaves it whole in the system's cache, and not on the disk: Linux takes the pages for clean,
// so that a later sync succeeds without having written them. What relies on the log being on the disk would be wrong then:
// a checkpoint, which a loss of power may interrupt, and a commit at SyncFull, which recovery only finds behind all others.
// So the log is written again, as it is, and synced, before either.

// rewriteLog writes the valid bytes of a log again where they are, and syncs them.
// The caller holds the lock of writers, so that the log neither grows nor starts over. What is written is what is there:
// those who read it see no change. Closing the file drops no lock of SQLite's, which has none on the log.
// It fails if the log is not what its index says, as after the system gave up pages that it could not write.
func rewriteLog(log raw.Log) (err error) {
	if log.Frames == 0 {
		return nil // the next commit writes it from its beginning
	}
	file, err := os.OpenFile(log.Path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer func() {
		if closeErr := file.Close(); err == nil {
			err = closeErr
		}
	}()
	sum := logSum{order: binary.LittleEndian}
	if log.BigEndian {
		sum.order = binary.BigEndian
	}
	salted := func(salt []byte) bool { // https://www.sqlite.org/walformat.html
		return binary.NativeEndian.Uint32(salt) == log.Salt[0] && binary.NativeEndian.Uint32(salt[4:]) == log.Salt[1]
	}
	header := make([]byte, logHeader)
	if _, err := file.ReadAt(header, 0); err != nil {
		return err
	}
	sum.add(header[:24])
	if !salted(header[16:]) || !sum.is(header[24:]) {
		return fmt.Errorf("%w: its header", errLogDamaged)
	}
	if _, err := file.WriteAt(header, 0); err != nil {
		return err
	}
	size := frameHeader + log.PageSize
	const atOnce = 256
	frames := make([]byte, min(log.Frames, atOnce)*size)
	for done := 0; done < log.Frames; done += atOnce {
		frames, at := frames[:min(log.Frames-done, atOnce)*size], int64(logHeader)+int64(done)*int64(size)
		if _, err := file.ReadAt(frames, at); err != nil {
			return err
		}
		for i := 0; i < len(frames); i += size {
			frame := frames[i : i+size]
			sum.add(frame[:8])
			sum.add(frame[frameHeader:])
			if !salted(frame[8:]) || !sum.is(frame[16:]) {
				return fmt.Errorf("%w: frame %d of %d", errLogDamaged, done+i/size+1, log.Frames)
			}
		}
		if _, err := file.WriteAt(frames, at); err != nil {
			return err
		}
	}
	if sum.now != log.Checksum {
		return fmt.Errorf("%w: its end", errLogDamaged)
	}
	return file.Sync()
}

const (
	logHeader   = 32 // bytes, of the log
	frameHeader = 24 // bytes, of each page in it
)

var errLogDamaged = errors.New("the write-ahead log is not what was written to it")

// logSum is the checksum of a log.
type logSum struct {
	order binary.ByteOrder
	now   [2]uint32
}

func (s *logSum) add(bytes []byte) {
	first, second := s.now[0], s.now[1]
	for ; len(bytes) >= 8; bytes = bytes[8:] {
		first += s.order.Uint32(bytes) + second
		second += s.order.Uint32(bytes[4:]) + first
	}
	s.now = [2]uint32{first, second}
}

// is reports whether the sum is the one that is written there.
func (s *logSum) is(written []byte) bool {
	return binary.BigEndian.Uint32(written) == s.now[0] && binary.BigEndian.Uint32(written[4:]) == s.now[1]
}
