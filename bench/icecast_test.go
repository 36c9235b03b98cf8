//go:build linux

package bench

import (
	"bufio"
	"encoding/base64"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

const sourcePassword = "for-this-run"

// icecastSettings are Debian's, but for the number of clients, the folders and the
// passwords. The burst of 64 kB that joiners get is about 11 s of sound.
const icecastSettings = `<icecast>
  <limits>
    <clients>19000</clients>
    <sources>8</sources>
    <queue-size>524288</queue-size>
    <client-timeout>30</client-timeout>
    <header-timeout>15</header-timeout>
    <source-timeout>10</source-timeout>
    <burst-on-connect>1</burst-on-connect>
    <burst-size>65535</burst-size>
  </limits>
  <authentication>
    <source-password>%[1]s</source-password>
    <admin-user>admin</admin-user>
    <admin-password>%[1]s</admin-password>
  </authentication>
  <hostname>127.0.0.1</hostname>
  <listen-socket><port>%[2]d</port><bind-address>127.0.0.1</bind-address></listen-socket>
  <fileserve>0</fileserve>
  <paths>
    <basedir>/usr/share/icecast2</basedir>
    <logdir>%[3]s</logdir>
    <webroot>/usr/share/icecast2/web</webroot>
    <adminroot>/usr/share/icecast2/admin</adminroot>
  </paths>
  <logging><accesslog>access.log</accesslog><errorlog>error.log</errorlog><loglevel>2</loglevel></logging>
</icecast>
`

// startIcecast starts Debian's Icecast on a free port.
func startIcecast(t testing.TB) (*process, string, error) {
	folder, err := openFolder(t)
	if err != nil {
		return nil, "", err
	}
	addr, port, err := freeAddr()
	if err != nil {
		return nil, "", err
	}
	settings := filepath.Join(folder, "icecast.xml")
	if err := os.WriteFile(settings, fmt.Appendf(nil, icecastSettings, sourcePassword, port, folder), 0o644); err != nil {
		return nil, "", err
	}
	cmd := exec.Command("sh", "-c", `ulimit -n $(ulimit -Hn) && exec icecast2 -c "$0"`, settings)
	if err := nobody(cmd, folder); err != nil {
		return nil, "", err
	}
	p, err := start(t, "icecast2", cmd)
	if err != nil {
		return nil, "", err
	}
	return p, addr, awaitPort(p, addr)
}

// freeAddr returns an address that nobody listens on now.
func freeAddr() (string, int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", 0, err
	}
	defer l.Close()
	return l.Addr().String(), l.Addr().(*net.TCPAddr).Port, nil
}

// awaitPort waits until somebody listens.
func awaitPort(p *process, addr string) error {
	for deadline := time.Now().Add(20 * time.Second); ; {
		conn, err := net.Dial("tcp", addr)
		if err == nil {
			return conn.Close()
		}
		if time.Now().After(deadline) {
			return p.trouble(err)
		}
		select {
		case <-p.ended:
			return p.trouble(fmt.Errorf("it ended at once"))
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// feed is a source of Icecast: it sends a track's pages when they have been spoken,
// and begins with a burst's worth of them. It ends with the server.
func feed(p *process, addr, mount string, t *track) error {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return err
	}
	fmt.Fprintf(conn, "PUT %s HTTP/1.1\r\nHost: %s\r\nAuthorization: Basic %s\r\nContent-Type: application/ogg\r\nIce-Public: 0\r\nExpect: 100-continue\r\n\r\n",
		mount, addr, base64.StdEncoding.EncodeToString([]byte("source:"+sourcePassword)))
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return p.trouble(err)
	}
	if response.StatusCode >= 300 {
		return p.trouble(fmt.Errorf("it refused its source: %s", response.Status))
	}
	begun := int(20 * time.Second / t.page)
	if _, err := conn.Write(t.data[:t.ends[begun]]); err != nil {
		return err
	}
	go func() {
		defer conn.Close()
		ticks := time.NewTicker(t.page)
		defer ticks.Stop()
		for page := begun; page+1 < len(t.ends); page++ {
			select {
			case <-p.ended:
				return
			case <-ticks.C:
			}
			if _, err := conn.Write(t.pages(page, page+1)); err != nil {
				return
			}
		}
	}()
	return nil
}
