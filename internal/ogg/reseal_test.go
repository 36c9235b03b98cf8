package ogg_test

import "encoding/binary"

// reseal sets the checksum of a page that was changed, computed bit by bit and
// so independent of the room's own.
func reseal(page []byte) []byte {
	binary.LittleEndian.PutUint32(page[22:], 0)
	crc := uint32(0)
	for _, b := range page {
		crc ^= uint32(b) << 24
		for range 8 {
			if crc&(1<<31) != 0 {
				crc = crc<<1 ^ 0x04c11db7
			} else {
				crc <<= 1
			}
		}
	}
	binary.LittleEndian.PutUint32(page[22:], crc)
	return page
}
