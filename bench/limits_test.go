//go:build linux

package bench

import (
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// limit is something that a machine has only so much of.
type limit struct {
	Name    string
	Has     int64
	Unit    string
	Carries int64 // listeners, with both their ends on this machine; 0: that is yet to be seen
	Note    string
}

// limitsOf returns what bounds a crowd on this machine, before it is tried.
func limitsOf() ([]limit, error) {
	var files unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &files); err != nil {
		return nil, err
	}
	all := []limit{{"descriptors of a process", int64(files.Max), "", 0, "more edges and more workers carry more"}}
	if n, err := number("/proc/sys/fs/file-max", 0); err == nil {
		all = append(all, limit{"descriptors of the machine (file-max)", n, "", n / 2, "two for each listener"})
	}
	if n, err := number("/proc/sys/net/ipv4/ip_local_port_range", 0); err == nil {
		if last, err := number("/proc/sys/net/ipv4/ip_local_port_range", 1); err == nil {
			all = append(all, limit{"ports from one address to one edge", last - n + 1, "", 0, "the crowd comes from 64 addresses"})
		}
	}
	if n, err := number("/proc/sys/net/ipv4/tcp_mem", 2); err == nil {
		all = append(all, limit{"what TCP may have under way (tcp_mem)", n * int64(os.Getpagesize()) >> 20, "MB", 0, "sound on its way, not the sockets themselves"})
	}
	if n, err := number("/proc/sys/net/netfilter/nf_conntrack_max", 0); err == nil {
		all = append(all, limit{"connections that the firewall follows", n, "", 0, "if it has a rule that looks at them"})
	}
	free, err := availableMemory()
	if err != nil {
		return nil, err
	}
	const each = 12 << 10 // sockets of both ends, what edge and crowd keep: a first guess, seen below
	return append(all, limit{"memory that is free", free >> 20, "MB", free / each, "at 12 kB for both ends, as a first guess"}), nil
}

// number reads the i-th number of a file of /proc.
func number(file string, i int) (int64, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return 0, err
	}
	fields := strings.Fields(string(text))
	if i >= len(fields) {
		return 0, fmt.Errorf("%s has no number %d", file, i)
	}
	return strconv.ParseInt(fields[i], 10, 64)
}

func availableMemory() (int64, error) {
	text, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return 0, err
	}
	_, rest, found := strings.Cut(string(text), "MemAvailable:")
	if !found {
		return 0, fmt.Errorf("/proc/meminfo does not say what is available")
	}
	kB, err := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
	return kB << 10, err
}

// machineLoad is how much of the machine is taken.
type machineLoad struct {
	busy, all float64 // since it was started, in ticks of all cores
	Available int64   // bytes of memory
	Files     int64   // open
	TCPMemory int64   // bytes
	Tracked   int64   // connections, by the firewall
}

func loadOf() (machineLoad, error) {
	var l machineLoad
	text, err := os.ReadFile("/proc/stat")
	if err != nil {
		return l, err
	}
	line, _, _ := strings.Cut(string(text), "\n")
	for i, field := range strings.Fields(line)[1:9] { // guests are counted as users, too
		ticks, err := strconv.ParseFloat(field, 64)
		if err != nil {
			return l, err
		}
		l.all += ticks
		if i != 3 && i != 4 { // idle, iowait
			l.busy += ticks
		}
	}
	if l.Available, err = availableMemory(); err != nil {
		return l, err
	}
	if l.Files, err = number("/proc/sys/fs/file-nr", 0); err != nil {
		return l, err
	}
	if text, err = os.ReadFile("/proc/net/sockstat"); err != nil {
		return l, err
	}
	if _, rest, found := strings.Cut(string(text), " mem "); found { // of TCP, which is the first
		pages, err := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
		if err != nil {
			return l, err
		}
		l.TCPMemory = pages * int64(os.Getpagesize())
	}
	l.Tracked, _ = number("/proc/sys/net/netfilter/nf_conntrack_count", 0) // where there is such a thing
	return l, nil
}

// busySince is the share of all cores that was busy since an earlier moment.
func (l machineLoad) busySince(before machineLoad) float64 {
	if l.all <= before.all {
		return 0
	}
	return (l.busy - before.busy) / (l.all - before.all)
}
