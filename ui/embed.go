// Package ui holds the pages as they are built: the front page, the listener's
// and the studio.
//
// The sources are TypeScript; "npm run build" in this folder writes dist, which
// is embedded here. Pages carry placeholders that the web room fills in
// (<!--hustings:head-->, <!--hustings:data-->, <!--hustings:noscript-->); assets
// carry their hash in their name, and a .br and a .gz beside them.
package ui

import (
	"embed"
	"io/fs"
)

//go:embed all:dist
var dist embed.FS

// Pages returns the built pages: index.html, listener.html, studio.html and
// assets/. Without a build it is empty but for a placeholder.
func Pages() fs.FS {
	pages, err := fs.Sub(dist, "dist")
	if err != nil {
		// The name is a constant and valid, so this can't be.
		panic(err)
	}
	return pages
}
