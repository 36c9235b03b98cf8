// Package pages holds the pages that the browser's code was built to: HTML with
// places to write into, and the assets that it needs.
//
//	built, err := pages.Read(files, "index.html", "listener.html")
//	body, err := built.Fill("listener.html", pages.Filling{Title: "Debate", Data: state})
//	for path, asset := range built.Assets() { mux.Handle("GET /"+path, asset) }
//
// All of it is small and is kept in memory. Assets come out of the build compressed
// (a .br and a .gz beside each), and those under assets/ have a hash of their
// content in their name, so that a browser asks for each only once.
package pages

import (
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"io/fs"
	"iter"
	"net/http"
	"strings"
)

// Where a page is written into.
const (
	headMark     = "<!--hustings:head-->"     // inside head
	dataMark     = "<!--hustings:data-->"     // inside body
	noscriptMark = "<!--hustings:noscript-->" // inside a noscript in body
)

// ErrNotBuilt says that there are no pages.
var ErrNotBuilt = errors.New("the pages are not built")

// Pages are built pages. They never change.
type Pages struct {
	html   map[string]page   // by file name
	assets map[string]*asset // by path
}

// Read reads what the build left. Files without any page, or nil, are a build that
// has not taken place, which is no error until a page is asked for.
//
// Errors: that of the file system; a build that lacks one of the needed pages.
func Read(files fs.FS, needed ...string) (*Pages, error) {
	p := &Pages{html: map[string]page{}, assets: map[string]*asset{}}
	if files == nil {
		return p, nil
	}
	if err := fs.WalkDir(files, ".", p.take(files)); err != nil {
		return nil, fmt.Errorf("read the built pages: %w", err)
	}
	if len(p.html) == 0 {
		return &Pages{}, nil
	}
	for _, name := range needed {
		if p.html[name] == nil {
			return nil, fmt.Errorf("the built pages lack %s; build them anew", name)
		}
	}
	return p, nil
}

// take returns what to do with each file; hidden ones are not the build's.
func (p *Pages) take(files fs.FS) fs.WalkDirFunc {
	return func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || strings.HasPrefix(entry.Name(), ".") {
			return err
		}
		data, err := fs.ReadFile(files, name)
		if err != nil {
			return err
		}
		if strings.HasSuffix(name, ".html") {
			p.html[name] = cut(string(data))
		} else {
			p.add(name, data)
		}
		return nil
	}
}

// Assets returns what pages need, by path without a leading slash.
func (p *Pages) Assets() iter.Seq2[string, http.Handler] {
	return func(yield func(string, http.Handler) bool) {
		for path, a := range p.assets {
			if !yield(path, a) {
				return
			}
		}
	}
}

// Filling is what is written into a page.
type Filling struct {
	Title    string
	Head     string // HTML, behind the title
	Data     any    // JSON for the page's script, in the element with the id "space"; nil: none
	Noscript string // HTML
}

// page is the HTML of a page, cut where it is written into: each mark is a part of
// its own.
type page []string

// cut cuts a page. It is done once, since a crowd that comes opens it many times.
func cut(text string) (parts page) {
	for text != "" {
		at, mark := len(text), ""
		for _, m := range []string{headMark, dataMark, noscriptMark} {
			if i := strings.Index(text[:at], m); i >= 0 {
				at, mark = i, m
			}
		}
		if at > 0 {
			parts = append(parts, text[:at])
		}
		if mark != "" {
			parts = append(parts, mark)
		}
		text = text[at+len(mark):]
	}
	return parts
}

// Fill returns a page, filled in.
//
// Errors: ErrNotBuilt, and that of json.Marshal.
func (p *Pages) Fill(name string, f Filling) (string, error) {
	built := p.html[name]
	if built == nil {
		return "", ErrNotBuilt
	}
	data := ""
	if f.Data != nil {
		// json.Marshal escapes <, > and &, so that nothing in it ends the element.
		text, err := json.Marshal(f.Data)
		if err != nil {
			return "", fmt.Errorf("fill %s: %w", name, err)
		}
		data = `<script type="application/json" id="space">` + string(text) + `</script>`
	}
	head := "<title>" + html.EscapeString(f.Title) + "</title>" + f.Head
	var out strings.Builder
	for _, part := range built {
		switch part {
		case headMark:
			part = head
		case dataMark:
			part = data
		case noscriptMark:
			part = f.Noscript
		}
		out.WriteString(part)
	}
	return out.String(), nil
}

// Meta returns a meta element, such as Meta("property", "og:title", title).
func Meta(key, name, content string) string {
	return `<meta ` + key + `="` + name + `" content="` + html.EscapeString(content) + `">`
}
