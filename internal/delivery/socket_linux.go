package delivery

import (
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The calls of the hot path go to the kernel directly: they never wait, so that Go's
// scheduler need not be told of them, and it would take the processor away from a
// loop whose writes are long.

// writev writes to a socket that does not block, and returns 0 if it has no room.
func writev(fd int, vectors []unix.Iovec) (int, error) {
	if len(vectors) == 1 { // as it is mostly; the kernel is a little faster then
		return write(fd, unsafe.Slice(vectors[0].Base, vectors[0].Len))
	}
	for {
		n, _, errno := unix.RawSyscall(unix.SYS_WRITEV, uintptr(fd),
			uintptr(unsafe.Pointer(unsafe.SliceData(vectors))), uintptr(len(vectors)))
		if errno != unix.EINTR {
			return wrote(n, errno)
		}
	}
}

func write(fd int, b []byte) (int, error) {
	for {
		n, _, errno := unix.RawSyscall(unix.SYS_WRITE, uintptr(fd),
			uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)))
		runtime.KeepAlive(b)
		if errno != unix.EINTR {
			return wrote(n, errno)
		}
	}
}

func wrote(n uintptr, errno unix.Errno) (int, error) {
	switch errno {
	case 0:
		return int(n), nil
	case unix.EAGAIN:
		return 0, nil
	}
	return 0, errno
}

// unacknowledged returns how many bytes of those written to the socket the other
// side has not acknowledged.
func unacknowledged(fd int) int {
	var n int32
	_, _, errno := unix.RawSyscall(unix.SYS_IOCTL, uintptr(fd), unix.SIOCOUTQ, uintptr(unsafe.Pointer(&n)))
	if errno != 0 { // can't be for TCP
		return 0
	}
	return int(n)
}

// socketError returns what the socket died of, nil if its other side just closed.
func socketError(fd int) error {
	errno, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ERROR)
	if err != nil || errno == 0 {
		return err
	}
	return unix.Errno(errno)
}

// why says what an error of a socket means.
func why(err error) Reason {
	if err == unix.ETIMEDOUT { // it acknowledged nothing for the user timeout
		return Stalled
	}
	return Left
}
