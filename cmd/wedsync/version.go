package main

import (
	"runtime/debug"
)

type versionCmd struct{}

// versionInfo is what the go command wrote into the binary.
type versionInfo struct {
	Version  string `json:"version"` // the module's, "(devel)" outside a release
	Revision string `json:"revision,omitempty"`
	Time     string `json:"time,omitempty"` // of the revision
	Modified bool   `json:"modified,omitempty"`
	Go       string `json:"go"`
}

func readVersion() versionInfo {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return versionInfo{Version: "unknown"}
	}
	v := versionInfo{Version: info.Main.Version, Go: info.GoVersion}
	or(&v.Version, "(devel)")
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			v.Revision = s.Value
		case "vcs.time":
			v.Time = s.Value
		case "vcs.modified":
			v.Modified = s.Value == "true"
		}
	}
	return v
}

func (v versionInfo) String() string {
	text := "wedsync " + v.Version
	if v.Revision != "" {
		text += " " + v.Revision[:min(12, len(v.Revision))]
		if v.Modified {
			text += "+changes"
		}
	}
	return text + " " + v.Go
}

func (versionCmd) Run(p printer) error {
	v := readVersion()
	if p.json {
		return p.object(v)
	}
	p.say("%s", v)
	return nil
}
