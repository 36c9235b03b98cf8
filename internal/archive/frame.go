package archive

import (
	"bufio"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
)

// The block log is a title and then records: the length of the payload (uint32,
// big-endian), CRC-32C of length and payload, payload. The first byte of a payload
// says what it is: 'h' a block in its binary form, 'e' the beginning of an epoch.
const (
	logTitle   = "hustings log 1\n\n"
	recordHead = 8
	maxRecord  = 1 << 20

	kindBlock = 'h'
	kindEpoch = 'e'
)

// errTorn says that a log goes on with something that is not a whole record.
var errTorn = errors.New("not a whole record")

func checksum(length, payload []byte) uint32 {
	table := crc32.MakeTable(crc32.Castagnoli)
	return crc32.Update(crc32.Update(0, table, length), table, payload)
}

// appendRecord appends a payload as a record.
func appendRecord(dst, payload []byte) []byte {
	at := len(dst)
	dst = binary.BigEndian.AppendUint32(dst, uint32(len(payload)))
	dst = binary.BigEndian.AppendUint32(dst, checksum(dst[at:at+4], payload))
	return append(dst, payload...)
}

func appendEpoch(dst []byte, epoch uint32) []byte {
	return appendRecord(dst, binary.BigEndian.AppendUint32([]byte{kindEpoch}, epoch))
}

// readRecord reads the payload of the next record into memory of its own.
//
// Errors: io.EOF at the end, errTorn, and those of reading.
func readRecord(r *bufio.Reader) ([]byte, error) {
	head, err := r.Peek(recordHead)
	switch {
	case err == io.EOF && len(head) == 0:
		return nil, io.EOF
	case err == io.EOF:
		return nil, errTorn
	case err != nil:
		return nil, err
	}
	size, sum := binary.BigEndian.Uint32(head), binary.BigEndian.Uint32(head[4:])
	if size == 0 || size > maxRecord {
		return nil, errTorn
	}
	record := make([]byte, recordHead+int(size))
	if _, err := io.ReadFull(r, record); err == io.EOF || err == io.ErrUnexpectedEOF {
		return nil, errTorn
	} else if err != nil {
		return nil, err
	}
	if checksum(record[:4], record[recordHead:]) != sum {
		return nil, errTorn
	}
	return record[recordHead:], nil
}
