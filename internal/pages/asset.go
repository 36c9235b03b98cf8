package pages

import (
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"path"
	"strconv"
	"strings"
)

// asset is a file that pages need, in the encodings that the build made of it.
type asset struct {
	kind    string // media type
	hashed  bool   // its name changes with its content
	encoded map[string]variant
}

// variant is an asset in one encoding; "" is the plain one.
type variant struct {
	data []byte
	etag string
}

// encodings are those that the build makes, the smallest first, with their names'
// ends.
var encodings = []struct{ name, suffix string }{{"br", ".br"}, {"gzip", ".gz"}, {"", ""}}

// add takes a file of the build: an asset, or one of its compressed forms.
func (p *Pages) add(name string, data []byte) {
	for _, e := range encodings {
		plain, ok := strings.CutSuffix(name, e.suffix)
		if !ok {
			continue
		}
		a := p.assets[plain]
		if a == nil {
			a = &asset{kind: mediaType(plain), hashed: strings.HasPrefix(plain, "assets/"), encoded: map[string]variant{}}
			p.assets[plain] = a
		}
		sum := sha256.Sum256(data)
		a.encoded[e.name] = variant{data: data, etag: `"` + hex.EncodeToString(sum[:12]) + `"`}
		return
	}
}

// mediaType knows what a build of pages has in it, whatever this machine's own
// tables say.
func mediaType(name string) string {
	switch path.Ext(name) {
	case ".js", ".mjs":
		return "text/javascript; charset=utf-8"
	case ".css":
		return "text/css; charset=utf-8"
	case ".svg":
		return "image/svg+xml"
	case ".png":
		return "image/png"
	case ".ico":
		return "image/x-icon"
	case ".webp":
		return "image/webp"
	case ".woff2":
		return "font/woff2"
	case ".wasm":
		return "application/wasm"
	case ".json":
		return "application/json"
	case ".webmanifest":
		return "application/manifest+json"
	case ".txt":
		return "text/plain; charset=utf-8"
	case ".ogg", ".opus":
		return "audio/ogg"
	default:
		return "application/octet-stream"
	}
}

// ServeHTTP answers in the best encoding that is taken. What has its hash in its
// name is good for ever.
func (a *asset) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	header := rw.Header()
	header.Set("Content-Type", a.kind)
	header.Set("Vary", "Accept-Encoding")
	header.Set("Cross-Origin-Resource-Policy", "same-origin")
	header.Set("Cache-Control", "public, max-age=3600")
	if a.hashed {
		header.Set("Cache-Control", "public, max-age=31536000, immutable")
	}
	for _, e := range encodings {
		v, ok := a.encoded[e.name]
		if !ok || !accepts(r.Header.Get("Accept-Encoding"), e.name) {
			continue
		}
		header.Set("ETag", v.etag)
		if e.name != "" {
			header.Set("Content-Encoding", e.name)
		}
		v.serve(rw, r)
		return
	}
	http.Error(rw, "this file is here only compressed; accept br or gzip", http.StatusNotAcceptable)
}

// serve writes the variant, unless the browser has it. (http.ServeContent leaves
// out the length of what is compressed.)
func (v variant) serve(rw http.ResponseWriter, r *http.Request) {
	for tag := range strings.SplitSeq(r.Header.Get("If-None-Match"), ",") {
		if strings.TrimPrefix(strings.TrimSpace(tag), "W/") == v.etag {
			rw.WriteHeader(http.StatusNotModified)
			return
		}
	}
	rw.Header().Set("Content-Length", strconv.Itoa(len(v.data)))
	_, _ = rw.Write(v.data)
}

// accepts reports whether an Accept-Encoding header takes an encoding (RFC 9110,
// section 12.5.3). The plain form ("") is always taken.
func accepts(header, encoding string) bool {
	if encoding == "" {
		return true
	}
	for part := range strings.SplitSeq(header, ",") {
		name, parameters, _ := strings.Cut(part, ";")
		if strings.EqualFold(strings.TrimSpace(name), encoding) {
			return weight(parameters) > 0
		}
	}
	return false
}

// weight reads the q of a header's part; 1 if there is none.
func weight(parameters string) float64 {
	text, ok := strings.CutPrefix(strings.ToLower(strings.TrimSpace(parameters)), "q=")
	if !ok {
		return 1
	}
	q, err := strconv.ParseFloat(strings.TrimSpace(text), 64)
	if err != nil {
		return 0
	}
	return q
}
