package importer

import (
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// mounts adds what units need for the paths that they name, and mounts for those they
// are below of: systemd adds Requires and After for each mount unit on the way. O(units
// × paths × mounts), which is small: few units name paths.
func (s *systemd) mounts() {
	for _, name := range s.sorted() {
		u := s.units[name]
		if filepath.Ext(name) == ".mount" {
			u.paths[filepath.Dir(where(name, u))] = u.at
		}
		for _, path := range slices.Sorted(maps.Keys(u.paths)) {
			for _, mount := range s.sorted() {
				m := s.units[mount]
				if mount == name || filepath.Ext(mount) != ".mount" || !within(path, where(mount, m)) {
					continue
				}
				u.requires[mount], u.after[mount] = u.paths[path], u.paths[path]
			}
		}
	}
}

// where returns the mount point of a mount unit, from its name if need be: systemd
// escapes "/" as "-", and other bytes as \xNN. An escape that is no number stays.
func where(name string, u *unit) string {
	if u.where != "" {
		return filepath.Clean(u.where)
	}
	bare := strings.TrimSuffix(name, ".mount")
	if bare == "-" {
		return "/"
	}
	path := "/" + strings.ReplaceAll(bare, "-", "/")
	return escaped.ReplaceAllStringFunc(path, func(hex string) string {
		n, err := strconv.ParseUint(hex[2:], 16, 8)
		if err != nil {
			return hex
		}
		return string([]byte{byte(n)}) // one of a letter's bytes, if it has several
	})
}

var escaped = regexp.MustCompile(`\\x[0-9a-f]{2}`)

// within reports whether a path is a mount point or below it.
func within(path, mount string) bool {
	return path == mount || mount == "/" || strings.HasPrefix(path, mount+"/")
}
