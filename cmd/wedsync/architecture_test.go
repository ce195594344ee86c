package main

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var (
	namedPath    = regexp.MustCompile("`([A-Za-z0-9_./-]+)`|\\]\\(([A-Za-z0-9_./-]+)\\)")
	inRepository = regexp.MustCompile(`^(actors|analytics|cluster|cmd|deploy|docs|edge|loadtest)(/|$)`)
)

// Each file and folder that ARCHITECTURE.md and README.md name is there; a file without a folder is in one that
// its paragraph names.
func TestNamedFilesExist(t *testing.T) {
	t.Parallel()
	root := filepath.Join("..", "..")
	exists := func(path string) bool {
		_, err := os.Stat(filepath.Join(root, path))
		return err == nil
	}
	for doc, least := range map[string]int{"ARCHITECTURE.md": 70, "README.md": 10} {
		text, err := os.ReadFile(filepath.Join(root, doc))
		if err != nil {
			t.Fatal(err)
		}
		found := 0
		for paragraph := range strings.SplitSeq(string(text), "\n\n") {
			var folders []string
			for _, m := range namedPath.FindAllStringSubmatch(paragraph, -1) {
				name := m[1] + m[2]
				switch {
				case inRepository.MatchString(name):
					folders = append(folders, name, filepath.Dir(name))
					if !exists(name) {
						t.Errorf("%s names %s, which is not there", doc, name)
					}
				case filepath.Ext(name) == ".go" && len(folders) > 0: // else it is about every package
					if !slices.ContainsFunc(folders, func(f string) bool { return exists(filepath.Join(f, name)) }) {
						t.Errorf("%s names %s, which is in none of %v", doc, name, folders)
					}
				default:
					continue
				}
				found++
			}
		}
		if found < least {
			t.Errorf("%s: %d paths were found", doc, found)
		}
	}
}
