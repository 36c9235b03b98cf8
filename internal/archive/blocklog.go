package archive

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"sort"

	"golang.org/x/mod/sumdb/tlog"

	"hustings/internal/programme"
	"hustings/internal/space"
)

// file is what the archive needs of a file; tests put one in that fails.
type file interface {
	io.ReaderAt
	io.WriterAt
	io.Closer
	Sync() error
	Truncate(size int64) error
	Size() (int64, error)
}

type osFile struct{ *os.File }

func (f osFile) Size() (int64, error) {
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

// openFile opens a file for reading and writing, and makes it if it is not there.
func openFile(path string) (file, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, err
	}
	return osFile{f}, nil
}

// refusal is why a block is not taken.
type refusal string

func (r refusal) Error() string { return string(r) }

const (
	errDuplicate refusal = "it is in the log already"
	errOldEpoch  refusal = "it is of an older epoch"
	errOverlap   refusal = "it begins before the end of the block before it"
	errOver      refusal = "the programme has ended"
	errForeign   refusal = "it is of another space"
)

// blockLog is the log of one space on disk, and where to find what in it. It is
// the only truth: recordings are made of it, and can be made of it again. Each
// record is written at its place by one pwrite(2), so that a write which failed
// half way leaves nothing behind that the next one does not overwrite.
type blockLog struct {
	f       file
	id      space.ID
	size    int64 // of the whole records in it: where the next one goes
	entries []entry
	tree    programme.Tree
	epoch   uint32
	began   bool  // epoch is taken: some record names it
	end     int64 // of the last block, in samples
	final   bool
	tally   space.Tally // the last one that a pulse told of
	states  states      // the whole pulse, here and there
	scratch []byte
}

// entry says where a block is. Numbers grow; where some are missing, they were lost.
type entry struct {
	seq    uint64
	offset int64 // of its record
}

// next returns the number of the block that is to come.
func (l *blockLog) next() uint64 { return l.tree.Size() }

// openLog reads a log from its beginning up to the first record that is not whole
// or not in order. It changes nothing on disk: what follows, torn bytes of it, is
// for the caller to cut off.
func openLog(f file, id space.ID) (l *blockLog, torn int64, err error) {
	l = &blockLog{f: f, id: id, size: int64(len(logTitle))}
	size, err := f.Size()
	if err != nil {
		return nil, 0, err
	}
	if size < l.size {
		return l, 0, nil // it never got as far as its first record, which brings the title
	}
	r := bufio.NewReaderSize(io.NewSectionReader(f, 0, size), 1<<18)
	title := make([]byte, len(logTitle))
	if _, err := io.ReadFull(r, title); err != nil {
		return nil, 0, err
	}
	if string(title) != logTitle {
		return nil, 0, fmt.Errorf("the block log of %s begins with %.16q: it is not one that this program wrote", id, title)
	}
	err = l.scan(r)
	return l, size - l.size, err
}

// scan reads records until the first that is not whole or not in order.
func (l *blockLog) scan(r *bufio.Reader) error {
	for {
		payload, err := readRecord(r)
		if err == io.EOF || errors.Is(err, errTorn) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("reading the block log of %s: %w", l.id, err)
		}
		if !l.replay(payload) {
			return nil
		}
		l.size += recordHead + int64(len(payload))
	}
}

// replay takes a record that is on disk into account.
func (l *blockLog) replay(payload []byte) bool {
	if payload[0] == kindEpoch && len(payload) == 5 {
		l.epoch, l.began = binary.BigEndian.Uint32(payload[1:]), true
		return true
	}
	b, err := programme.UnmarshalBlock(payload)
	if err != nil || l.refuses(b) != nil {
		return false
	}
	l.add(b)
	return true
}

// refuses says why a block is not to be appended, nil if it is.
func (l *blockLog) refuses(b *programme.Block) error {
	switch {
	case b.Space != l.id:
		return errForeign
	case l.began && b.Epoch < l.epoch:
		return errOldEpoch
	case b.Seq < l.next():
		return errDuplicate
	case l.final:
		return errOver
	case b.Start < l.end:
		return errOverlap
	}
	return nil
}

// append writes a block behind the others. After an error the log is as it was,
// and the same block may be tried again.
func (l *blockLog) append(b *programme.Block, data []byte) error {
	l.scratch = appendRecord(l.title(), data)
	if err := l.write(l.scratch); err != nil {
		return err
	}
	l.add(b)
	l.size += recordHead + int64(len(data))
	return nil
}

// fence begins an epoch: blocks of an older one are refused from now on. It holds
// in memory even if it can't be written.
func (l *blockLog) fence(epoch uint32) error {
	l.epoch, l.began = epoch, true
	l.scratch = appendEpoch(l.title(), epoch)
	if err := l.write(l.scratch); err != nil {
		return err
	}
	l.size += recordHead + 5
	return l.f.Sync()
}

// title returns what the next record is to be written after: the log's title if
// the record is the first.
func (l *blockLog) title() []byte {
	if l.size == int64(len(logTitle)) {
		return append(l.scratch[:0], logTitle...)
	}
	return l.scratch[:0]
}

func (l *blockLog) write(data []byte) error {
	at := l.size
	if at == int64(len(logTitle)) {
		at = 0
	}
	_, err := l.f.WriteAt(data, at)
	if err != nil {
		return fmt.Errorf("writing the block log of %s: %w", l.id, err)
	}
	return nil
}

// add takes a block into the index and the tree. Those that were lost before it
// have a leaf all the same, so that the numbers of the tree are those of the
// blocks; proofs then hold from the next epoch's checkpoints on.
func (l *blockLog) add(b *programme.Block) {
	for seq := l.next(); seq < b.Seq; seq++ {
		l.tree.Append(lostLeaf(l.id, seq))
	}
	l.tree.Append(b.Leaf().Hash())
	l.states.add(b)
	l.entries = append(l.entries, entry{seq: b.Seq, offset: l.size})
	l.epoch, l.began = b.Epoch, true
	l.end, l.final = b.End(), b.Final
	if bytes.Contains(b.Pulse, []byte(`"tally"`)) {
		// A merge patch: what it does not name stays. One that can't be read tells nothing.
		_ = json.Unmarshal(b.Pulse, &struct{ Tally *space.Tally }{&l.tally})
	}
}

// lostLeaf stands for a block that never reached the archive.
func lostLeaf(id space.ID, seq uint64) tlog.Hash {
	return tlog.RecordHash(fmt.Appendf(nil, "hustings lost block v1\n%s %d\n", id, seq))
}

// find returns the index of the first entry whose number is seq or more.
func (l *blockLog) find(seq uint64) int {
	return sort.Search(len(l.entries), func(i int) bool { return l.entries[i].seq >= seq })
}

// read returns the binary form of the block of an entry.
func (l *blockLog) read(i int) ([]byte, error) {
	var head [recordHead]byte
	at := l.entries[i].offset
	if _, err := l.f.ReadAt(head[:], at); err != nil {
		return nil, fmt.Errorf("reading block %d of %s: %w", l.entries[i].seq, l.id, err)
	}
	size := binary.BigEndian.Uint32(head[:])
	if size > maxRecord {
		return nil, fmt.Errorf("reading block %d of %s: %w", l.entries[i].seq, l.id, errTorn)
	}
	data := make([]byte, size)
	if _, err := l.f.ReadAt(data, at+recordHead); err != nil {
		return nil, fmt.Errorf("reading block %d of %s: %w", l.entries[i].seq, l.id, err)
	}
	if checksum(head[:4], data) != binary.BigEndian.Uint32(head[4:]) {
		return nil, fmt.Errorf("block %d of %s has changed on disk: %w", l.entries[i].seq, l.id, errTorn)
	}
	return data, nil
}

// block returns the block of an entry.
func (l *blockLog) block(i int) (*programme.Block, error) {
	data, err := l.read(i)
	if err != nil {
		return nil, err
	}
	return programme.UnmarshalBlock(data)
}
