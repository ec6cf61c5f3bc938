package depgraph

import (
	"path"
	"runtime"
	"runtime/debug"
	"strings"
)

// Declare stamps a service with the place of the call, so that reports can
// point at the line of Go that declared it. Its dependencies are best made
// with Hard, Soft, After and AnyOf, which stamp themselves.
//
// Nothing is registered anywhere: pass the result to Compile, or write it out
// with WriteManifest.
func Declare(s Service) Service {
	s.At = callerPosition()
	for i := range s.Depends {
		if s.Depends[i].At == (Position{}) {
			s.Depends[i].At = s.At
		}
	}
	return s
}

// Hard declares that the owner cannot do its work without the service named
// on. With no phases given, it is needed at startup and at run time.
func Hard(on string, phases ...Phase) Dependency {
	return Dependency{On: on, Phase: union(phases), At: callerPosition()}
}

// Soft declares that the owner fails open without the service named on.
func Soft(on string, phases ...Phase) Dependency {
	return Dependency{On: on, Soft: true, Phase: union(phases), At: callerPosition()}
}

// AnyOf declares that the owner needs a quorum of alternatives.
func AnyOf(need int, of ...string) Dependency {
	return Dependency{AnyOf: of, Need: need, At: callerPosition()}
}

// In returns the dependency limited to the given phases.
func (d Dependency) In(phases ...Phase) Dependency {
	d.Phase = union(phases)
	return d
}

// After declares an order without a need: the owner is launched after the
// service named on, if that is started too.
func After(on string) Dependency {
	return Dependency{On: on, Weak: true, At: callerPosition()}
}

// Awaiting returns the dependency with how far the other service must be
// before the owner is launched.
func (d Dependency) Awaiting(u Until) Dependency {
	d.Until = u
	return d
}

// ProvedBy returns the dependency with the drill that proved it soft.
func (d Dependency) ProvedBy(evidence string) Dependency {
	d.Evidence = evidence
	return d
}

// OnControlPlane returns the dependency marked as use of a control plane.
func (d Dependency) OnControlPlane() Dependency {
	d.Plane = Control
	return d
}

func union(phases []Phase) Phase {
	var all Phase
	for _, p := range phases {
		all |= p
	}
	return all
}

// callerPosition is where the caller of this file's exported function was
// called. The file is named from the root of its module, so that a report is
// the same on every machine and names no home folder.
func callerPosition() Position {
	pc, file, line, ok := runtime.Caller(2)
	if !ok {
		return Position{}
	}
	pkg := ""
	if f := runtime.FuncForPC(pc); f != nil {
		pkg = packageOf(f.Name())
	}
	module := ""
	if info, ok := debug.ReadBuildInfo(); ok {
		module = info.Main.Path
		if pkg == "main" {
			pkg = info.Path
		}
	}
	return Position{File: fileInModule(file, pkg, module), Line: line}
}

// packageOf returns the import path in the name of a function.
func packageOf(function string) string {
	slash := strings.LastIndexByte(function, '/') + 1
	dot := strings.IndexByte(function[slash:], '.')
	if dot < 0 {
		return ""
	}
	// A dot in the last element of an import path is escaped.
	return strings.ReplaceAll(function[:slash+dot], "%2e", ".")
}

// fileInModule names a file of a package from the root of the module; from
// that of its own module, with the import path, if it belongs to another one.
func fileInModule(file, pkg, module string) string {
	base := path.Base(strings.ReplaceAll(file, "\\", "/"))
	pkg = strings.TrimSuffix(strings.TrimSuffix(pkg, ".test"), "_test")
	if rest, ok := strings.CutPrefix(pkg, module); ok && module != "" && (rest == "" || rest[0] == '/') {
		pkg = rest
	} else if pkg == "main" || pkg == "command-line-arguments" {
		pkg = ""
	}
	return strings.TrimPrefix(path.Join(pkg, base), "/")
}
