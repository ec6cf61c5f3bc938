package importer

import (
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/failopen/failopen/depgraph"
)

// Systemd reads unit files, from files or folders with their drop-ins and
// .wants and .requires links. No program is run.
//
// systemd keeps requirement and ordering apart, and so does the import. After
// and Before order the start until the other unit is up, weakly unless it is
// required as well: a unit waits for the other one only if that is started
// too. Requires and Wants become run-time edges, hard and soft. Mixing the two
// finds cycles that do not exist; a circle of orders is an ordering cycle.
// Implicit dependencies of services, sockets, timers, paths and targets are
// added as systemd.unit(5) and its kin say.
func Systemd(paths ...string) (*Result, error) {
	s := systemd{builder: newBuilder(), units: map[string]*unit{}, templates: map[string][]string{}, aliases: map[string]string{}}
	s.override(paths)
	for _, p := range paths {
		info, err := os.Stat(p)
		if err != nil {
			return nil, err
		}
		if info.IsDir() {
			err = s.folder(p)
		} else {
			err = s.file(p, filepath.Base(p))
		}
		if err != nil {
			return nil, err
		}
	}
	if err := s.instantiate(); err != nil {
		return nil, err
	}
	// Aliases first: an implicit dependency on a name that is a link would lead
	// nowhere.
	s.resolveAliases()
	s.implicit()
	for _, name := range s.sorted() {
		s.unit(name)
	}
	s.result.Unknown = []string{
		"Imported from " + allShown(paths) + ". systemd does not know how critical",
		"a unit is, who owns it, or what it talks to while it runs. Wants is soft, Requires",
		"is hard; whether a unit really fails open is for you to say.",
	}
	return s.finish(), nil
}

// systemd holds the units of all folders by name. Orders and requirements are noted on
// the unit that says them, Before included; unit() turns them round.
type systemd struct {
	*builder
	units     map[string]*unit
	templates map[string][]string // files of NAME@.SUFFIX, the unit first, then drop-ins
	aliases   map[string]string   // names that are links -> the units behind them
	hidden    map[string]bool     // files of units that another folder overrides
}

// override finds the files of units that systemd does not read, as another
// folder has one of the same name: /etc goes before /run, and both before what
// packages bring; of others, the first that was named. Drop-ins and links of
// all folders count.
//
// Hidden files are counted as skipped.
func (s *systemd) override(paths []string) {
	s.hidden = map[string]bool{}
	winner := map[string]string{}
	for _, p := range paths {
		entries, err := os.ReadDir(p)
		if err != nil {
			continue // a file that was named by itself; what cannot be read is reported later
		}
		for _, e := range entries {
			name, path := e.Name(), filepath.Join(p, e.Name())
			if !isUnit(name) && !isTemplate(name) {
				continue
			}
			first, twice := winner[name]
			switch {
			case !twice:
				winner[name] = path
			case folderRank(path) < folderRank(first):
				winner[name] = path
				s.hidden[first] = true
			case path != first:
				s.hidden[path] = true
			}
		}
	}
	for _, path := range slices.Sorted(maps.Keys(s.hidden)) {
		s.skip("units that another folder overrides: " + filepath.ToSlash(path))
	}
}

// folderRank orders folders of units as systemd does: 0 is read before all others.
// Folders below another root, of an image that is mounted for example, count by the
// same names.
func folderRank(path string) int {
	for i, folder := range []string{"/etc/systemd/", "/run/systemd/"} {
		if strings.Contains(filepath.ToSlash(path), folder) {
			return i
		}
	}
	return 2
}

// instantiate reads templates for the instances that others name, until nobody names a
// new one: an instance may name further ones. It ends, as names and instances are
// bounded.
//
// Rounds are as many as instances lead to each other, each O(units × names).
func (s *systemd) instantiate() error {
	count := map[string]int{} // by template
	// Units are added below, so the names are listed anew for each round.
	for again := true; again; {
		again = false
		for _, name := range s.sorted() {
			u := s.units[name]
			for _, m := range u.lists() {
				for _, other := range slices.Sorted(maps.Keys(m)) {
					template := templateOf(other)
					files := s.templates[template]
					if s.units[other] != nil || files == nil {
						continue
					}
					again = true
					if count[template]++; count[template] > maxInstances {
						return errorAt(depgraph.Position{File: filepath.ToSlash(files[0]), Line: 1}, "this template has more than %d instances, as they name each other", maxInstances)
					}
					for _, file := range files {
						if err := s.file(file, other); err != nil {
							return err
						}
					}
				}
			}
		}
	}
	return nil
}

// templateOf returns getty@.service for getty@tty1.service, and "" for a unit
// that is no instance.
//
// "a@.service" is a template and no instance.
func templateOf(name string) string {
	prefix, rest, ok := strings.Cut(name, "@")
	if !ok || strings.HasPrefix(rest, ".") {
		return ""
	}
	return prefix + "@" + filepath.Ext(name)
}

// unit is what files say of one unit, drop-ins and links included. The maps hold names
// of other units, with the place that named each last.
//
// The lists are as the files say them; what follows from them is in implicit and unit.
type unit struct {
	at       depgraph.Position
	requires map[string]depgraph.Position
	wants    map[string]depgraph.Position
	after    map[string]depgraph.Position
	before   map[string]depgraph.Position
	defaults bool
	builtIn  bool                         // not in the files
	where    string                       // of a mount
	paths    map[string]depgraph.Position // that must be mounted
	triggers string                       // the unit that a socket, timer or path starts
}

// unitSuffixes are the sorts of units, as in systemd.unit(5); snapshots are gone.
var unitSuffixes = []string{".service", ".socket", ".target", ".timer", ".path", ".mount", ".automount", ".swap", ".slice", ".device", ".scope"}

// maxUnitName is systemd's bound on the length of a name, in bytes.
const maxUnitName = 255

// maxInstances bounds the instances of one template. Those that a person writes are
// a few; a template whose instances name two more each has as many as there are names.
const maxInstances = 10_000

// isUnit reports whether a name is that of a unit that can be started: it ends in one
// of unitSuffixes and is no template.
func isUnit(name string) bool {
	return len(name) <= maxUnitName && slices.Contains(unitSuffixes, filepath.Ext(name)) && !strings.Contains(name, "@.")
}

// isTemplate reports whether a name is that of a template, NAME@.SUFFIX, of which
// others name instances.
func isTemplate(name string) bool {
	return slices.Contains(unitSuffixes, filepath.Ext(name)) && strings.Contains(name, "@.")
}

// get returns the unit of that name, made with its place if nobody has named it.
// Default dependencies hold until a file says otherwise.
func (s *systemd) get(name string, at depgraph.Position) *unit {
	u := s.units[name]
	if u == nil {
		u = &unit{
			at: at, defaults: true, requires: map[string]depgraph.Position{}, wants: map[string]depgraph.Position{},
			after: map[string]depgraph.Position{}, before: map[string]depgraph.Position{}, paths: map[string]depgraph.Position{},
		}
		s.units[name] = u
	}
	return u
}

// folder reads one folder of units, in order of name: units, NAME.d with drop-ins,
// NAME.wants and NAME.requires with links. Other files and folders are none of
// systemd's.
func (s *systemd) folder(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		name, path := e.Name(), filepath.Join(dir, e.Name())
		switch ext := filepath.Ext(name); {
		case ext == ".wants" || ext == ".requires":
			err = s.links(path, strings.TrimSuffix(name, ext), ext)
		case ext == ".d" && isUnit(strings.TrimSuffix(name, ext)):
			err = s.dropIns(path, strings.TrimSuffix(name, ext))
		case ext == ".d" && isTemplate(strings.TrimSuffix(name, ext)):
			err = s.templateDropIns(path, strings.TrimSuffix(name, ext))
		case s.hidden[path]:
		case (isTemplate(name) || isUnit(name)) && !s.readable(path):
		case isTemplate(name):
			s.templates[name] = append([]string{path}, s.templates[name]...)
		case isUnit(name):
			err = s.file(path, name)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// readable reports whether there is a file, or a mask, behind the name of a unit.
// To systemd a link that leads nowhere is no unit; to an import it is a warning.
func (s *systemd) readable(path string) bool {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		s.warnf("%s: a link that leads nowhere; left out", filepath.ToSlash(path))
		return false
	case err == nil && info.IsDir():
		s.warnf("%s: a folder with the name of a unit; left out", filepath.ToSlash(path))
		return false
	}
	return true // what cannot be read is reported by the one that reads
}

// links reads the names in a .wants or .requires folder, which "systemctl enable"
// fills. What a link leads to does not matter, its own name does; its place is the
// folder, as a link has no lines.
func (s *systemd) links(dir, owner, ext string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	at := depgraph.Position{File: filepath.ToSlash(dir)}
	for _, e := range entries {
		if !isUnit(e.Name()) {
			continue
		}
		if u := s.get(owner, at); ext == ".wants" {
			u.wants[e.Name()] = at
		} else {
			u.requires[e.Name()] = at
		}
	}
	return nil
}

// templateDropIns keeps the drop-ins of a template for its instances, behind the
// template itself, which is put in front whenever it is found.
func (s *systemd) templateDropIns(dir, template string) error {
	files, err := filepath.Glob(filepath.Join(dir, "*.conf"))
	s.templates[template] = append(s.templates[template], files...)
	return err
}

// dropIns reads NAME.d/*.conf in order of name, as systemd does, so that of settings
// that replace each other the last counts.
func (s *systemd) dropIns(dir, owner string) error {
	files, err := filepath.Glob(filepath.Join(dir, "*.conf"))
	if err != nil {
		return err
	}
	for _, f := range files {
		if err := s.file(f, owner); err != nil {
			return err
		}
	}
	return nil
}

// implicit adds what systemd adds by itself. Targets come last: what they wait for
// depends on the orders that everything else has by then.
func (s *systemd) implicit() {
	s.mounts()
	s.boot()
	for _, name := range s.sorted() {
		s.implicitUnit(name, s.units[name])
	}
	for _, name := range s.sorted() {
		if u := s.units[name]; u.defaults && filepath.Ext(name) == ".target" {
			s.implicitTarget(name, u)
		}
	}
}

// boot adds sysinit.target and basic.target, which every unit with default
// dependencies needs, where the folder does not hold them: a folder with the
// units of one package rarely does, and orders lead through them.
//
// They are marked as built in, and order nothing but each other.
func (s *systemd) boot() {
	for _, name := range s.sorted() {
		u := s.units[name]
		if !u.defaults || !hasDefaults(filepath.Ext(name)) {
			continue
		}
		sysinit, basic := s.units["sysinit.target"], s.units["basic.target"]
		if sysinit == nil {
			sysinit = s.get("sysinit.target", u.at)
			sysinit.defaults, sysinit.builtIn = false, true
		}
		if basic == nil {
			basic = s.get("basic.target", u.at)
			basic.defaults, basic.builtIn = false, true
			basic.requires["sysinit.target"], basic.after["sysinit.target"] = u.at, u.at
		}
		return
	}
}

// hasDefaults reports whether units of this sort get default dependencies.
func hasDefaults(ext string) bool {
	return ext == ".service" || ext == ".socket" || ext == ".timer" || ext == ".path"
}

// implicitUnit adds the implicit and default dependencies of one unit: what a socket,
// timer or path starts comes after it (always, if it is there), and with default
// dependencies the early boot comes first and the shutdown last. See
// systemd.service(5), systemd.socket(5), systemd.timer(5) and systemd.path(5).
func (s *systemd) implicitUnit(name string, u *unit) {
	ext, at := filepath.Ext(name), u.at
	activates := ext == ".socket" || ext == ".timer" || ext == ".path"
	if activates {
		if u.triggers == "" {
			u.triggers = strings.TrimSuffix(name, ext) + ".service"
		}
		if s.units[u.triggers] != nil {
			u.before[u.triggers] = at
		}
	}
	if !u.defaults || !hasDefaults(ext) {
		return
	}
	u.requires["sysinit.target"], u.after["sysinit.target"] = at, at
	u.before["shutdown.target"] = at
	if activates {
		u.before[strings.TrimPrefix(ext, ".")+"s.target"] = at
	} else {
		u.after["basic.target"] = at
	}
}

// implicitTarget lets a target wait for what it pulls in, unless that already waits for
// the target, or the target says that it comes first: see systemd.target(5). Without
// this, reaching a target would mean nothing.
func (s *systemd) implicitTarget(name string, u *unit) {
	if name != "shutdown.target" {
		u.before["shutdown.target"] = u.at
	}
	for _, m := range []map[string]depgraph.Position{u.requires, u.wants} {
		for other, where := range m {
			o := s.units[other]
			if o == nil || !o.defaults {
				continue
			}
			_, waits := o.after[name]
			if _, ordered := u.before[other]; !waits && !ordered {
				u.after[other] = where
			}
		}
	}
}

// sorted returns the names of all units in order.
func (s *systemd) sorted() []string {
	return slices.Sorted(maps.Keys(s.units))
}

// unit turns one unit into a service with edges. Names that no file declares
// are left out of orderings, as systemd does, and warned about if required.
func (s *systemd) unit(name string) {
	u := s.units[name]
	svc := s.service(name, u.at)
	svc.Kind = depgraph.Infra
	if u.builtIn {
		svc.Note, svc.Source = "built into systemd, not among the files", ""
	}
	if strings.HasSuffix(name, ".service") {
		svc.Kind = depgraph.App
	}
	// These maps are walked in any order; the builder sorts what comes of them.
	for other, at := range u.after {
		s.order(name, other, at)
	}
	for other, at := range u.before {
		s.order(other, name, at)
	}
	for other, at := range u.requires {
		if s.units[other] == nil {
			s.warnf("%s: %s requires %s, which no file declares", at, name, other)
			continue
		}
		s.depend(name, other, hardRuntime, "Requires", other, at)
	}
	for other, at := range u.wants {
		if s.units[other] != nil && u.requires[other] == (depgraph.Position{}) {
			s.depend(name, other, claim{runtime: true, soft: true}, "Wants", other, at)
		}
	}
}

// order claims that a unit starts after another one. If it requires that one as well,
// the start fails without it; otherwise the order holds only if both are started, which
// is weak.
//
// Both must be in the files: systemd ignores an order on a unit that it does not know.
func (s *systemd) order(unit, first string, at depgraph.Position) {
	if s.units[unit] == nil || s.units[first] == nil {
		return
	}
	_, required := s.units[unit].requires[first]
	s.service(unit, s.units[unit].at)
	s.depend(unit, first, claim{start: depgraph.Ready, weak: !required}, "After", first, at)
}
