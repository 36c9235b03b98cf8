//go:build linux

package bench

import (
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// nginxSettings are those of a server of small files that is well set up.
const nginxSettings = `daemon off;
pid %[1]s/nginx.pid;
error_log %[1]s/error.log;
worker_processes auto;
events { worker_connections 4096; }
http {
  access_log off;
  sendfile on;
  tcp_nopush on;
  tcp_nodelay on;
  keepalive_requests 1000000000;
  open_file_cache max=100 inactive=1h;
  client_body_temp_path %[1]s/body; proxy_temp_path %[1]s/proxy; fastcgi_temp_path %[1]s/fastcgi;
  uwsgi_temp_path %[1]s/uwsgi; scgi_temp_path %[1]s/scgi;
  types { application/vnd.apple.mpegurl m3u8; video/iso.segment m4s; }
  server { listen 127.0.0.1:%[2]d backlog=4096; root %[1]s/files; }
}
`

// startNginx serves files by name.
func startNginx(t testing.TB, files map[string][]byte) (*process, string, error) {
	folder, err := openFolder(t)
	if err != nil {
		return nil, "", err
	}
	addr, port, err := freeAddr()
	if err != nil {
		return nil, "", err
	}
	if err := os.Mkdir(filepath.Join(folder, "files"), 0o755); err != nil {
		return nil, "", err
	}
	for name, data := range files {
		if err := os.WriteFile(filepath.Join(folder, "files", name), data, 0o644); err != nil {
			return nil, "", err
		}
	}
	settings := filepath.Join(folder, "nginx.conf")
	if err := os.WriteFile(settings, fmt.Appendf(nil, nginxSettings, folder, port), 0o644); err != nil {
		return nil, "", err
	}
	nginx, err := exec.LookPath("nginx")
	if err != nil {
		nginx = "/usr/sbin/nginx" // is not on everybody's path
	}
	cmd := exec.Command(nginx, "-e", filepath.Join(folder, "error.log"), "-c", settings)
	if err := nobody(cmd, folder); err != nil {
		return nil, "", err
	}
	p, err := start(t, "nginx", cmd)
	if err != nil {
		return nil, "", err
	}
	return p, addr, awaitPort(p, addr)
}

// hlsFile is one of the files that an HLS listener asks for.
type hlsFile struct {
	name, path, stored string
}

// hls measures requests for a playlist, a part and a segment beside nginx.
func (s *scene) hls(b *testing.B) {
	s.t = b
	if err := s.compareHLS(); err != nil {
		s.results.HLS = append(s.results.HLS, requests{Server: plainName, File: "all", Problem: err.Error()})
	}
	b.ReportMetric(0, "ns/op")
	s.results.printHLS()
}

func (s *scene) compareHLS() error {
	h, err := serve(s.t, false)
	if err != nil {
		return err
	}
	defer h.stop()
	id, err := h.goLive(s.t, s.pcm)
	if err != nil {
		return h.trouble(err)
	}
	for _, name := range []string{"playlist", "part", "segment"} {
		// Found anew each time: what is at the live edge does not stay there.
		file, err := awaitHLS(h, "/live/"+id+".m3u8", name)
		if err != nil {
			return err
		}
		data, _, err := h.get(file.path)
		if err != nil {
			return err
		}
		nginx, addr, err := startNginx(s.t, map[string][]byte{file.stored: data})
		if err != nil {
			return err
		}
		s.request(plainName, h.process, h.url.Host, file.path, file.name, len(data))
		s.request("nginx", nginx, addr, "/"+file.stored, file.name, len(data))
		nginx.stop()
	}
	return nil
}

// awaitHLS waits until a playlist names the file.
func awaitHLS(h *hustings, master, name string) (hlsFile, error) {
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(200 * time.Millisecond) {
		file, err := findHLS(h, master, name)
		if err == nil || time.Now().After(deadline) {
			return file, err
		}
	}
}

func findHLS(h *hustings, master, name string) (hlsFile, error) {
	text, _, err := h.get(master)
	if err != nil {
		return hlsFile{}, err
	}
	playlist := resolve(master, lastURI(string(text), opusFirst))
	if playlist == "" {
		return hlsFile{}, fmt.Errorf("%s names no playlist", master)
	}
	if name == "playlist" {
		return hlsFile{name, playlist, "playlist.m3u8"}, nil
	}
	if text, _, err = h.get(playlist); err != nil {
		return hlsFile{}, err
	}
	uri := lastURI(string(text), anyURI)
	if name == "part" {
		uri = lastPart(string(text))
	}
	if uri == "" {
		return hlsFile{}, fmt.Errorf("%s names no %s yet", playlist, name)
	}
	return hlsFile{name, resolve(playlist, uri), name + ".m4s"}, nil
}

func anyURI(string) bool { return true }

// opusFirst leaves out renditions that may need some time to begin.
func opusFirst(uri string) bool { return strings.Contains(uri, "opus48") }

// lastURI returns the last line of a playlist that is one, and wanted.
func lastURI(playlist string, wanted func(string) bool) (uri string) {
	for line := range strings.Lines(playlist) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") && wanted(line) {
			uri = line
		}
	}
	return uri
}

// lastPart returns the URI of the last partial segment (RFC 8216bis, section 4.4.4.9).
func lastPart(playlist string) (uri string) {
	for line := range strings.Lines(playlist) {
		if strings.HasPrefix(line, "#EXT-X-PART:") {
			_, rest, _ := strings.Cut(line, `URI="`)
			uri, _, _ = strings.Cut(rest, `"`)
		}
	}
	return uri
}

// resolve returns the path of a reference in a file.
func resolve(file, reference string) string {
	base, err := url.Parse(file)
	if err != nil || reference == "" {
		return ""
	}
	target, err := base.Parse(reference)
	if err != nil {
		return ""
	}
	return target.RequestURI()
}

// request puts load on a server and notes what it does.
func (s *scene) request(server string, p *process, addr, path, file string, size int) {
	row := requests{Server: server, File: file, Size: size}
	defer func() {
		s.results.progress("%-22s %-9s %7.0f requests/s  %5.1f us each %s", server, file, row.Rate, row.CPU, row.Problem)
		s.results.HLS = append(s.results.HLS, row)
	}()
	generator, err := startPart(s.t, "load")
	if err != nil {
		row.Problem = err.Error()
		return
	}
	defer generator.stop()
	before, err := p.cpuTime()
	if err != nil {
		row.Problem = err.Error()
		return
	}
	var answer loadAnswer
	err = generator.ask(loadOrder{Addr: addr, Path: path, Connections: 32, For: s.plan.Load}, &answer)
	if err == nil && answer.Error != "" {
		err = fmt.Errorf("%s", answer.Error)
	}
	after, e := p.cpuTime()
	if err == nil {
		err = e
	}
	if err != nil {
		row.Problem = err.Error()
		return
	}
	row.Rate = float64(answer.Requests) / answer.Took.Seconds()
	row.CPU = (after - before).Seconds() / float64(answer.Requests) * 1e6
	row.P50, row.P99 = answer.P50, answer.P99
}
