package warm

import (
	_ "github.com/charmbracelet/bubbletea"
	_ "github.com/HdrHistogram/hdrhistogram-go"
	_ "github.com/cespare/xxhash/v2"
)
