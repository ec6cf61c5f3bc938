package health

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// cgroup is where the files of this process's own control group are, inside its
// container (cgroup v2).
const cgroup = "/sys/fs/cgroup"

// CgroupMemory finds memory in use above a part of the container's limit
// (memory.max), page cache that can be given back not counted. Where there is no
// limit, or no cgroup v2, it finds nothing.
func CgroupMemory(part float64) Detector { return cgroupMemory(cgroup, part) }

// cgroupMemory measures as the kubelet does: memory.current without
// inactive_file, which the kernel takes back before it kills anybody. No limit,
// or no cgroup of version 2, is 0.
func cgroupMemory(dir string, part float64) Detector {
	return Detector{name: "cgroup memory", measures: "utilization", unit: "1", invalid: wantPart("CgroupMemory", part), measure: stateless(func() (float64, error) {
		limit, err := number(dir, "memory.max")
		if err != nil || limit == 0 {
			return 0, err
		}
		used, err := number(dir, "memory.current")
		if err != nil {
			return 0, err
		}
		stat, err := keyed(dir, "memory.stat")
		if err != nil {
			return 0, err
		}
		used = (used - stat["inactive_file"]) / limit
		return used, over(used, part, "of the container's memory in use")
	})}
}

// CgroupPids finds processes and threads above a part of the container's limit
// (pids.max). Where there is no limit, or no cgroup v2, it finds nothing.
func CgroupPids(part float64) Detector { return cgroupPids(cgroup, part) }

// cgroupPids counts threads, as the kernel does: a process that may not start
// another one fails in strange ways.
func cgroupPids(dir string, part float64) Detector {
	return Detector{name: "cgroup pids", measures: "utilization", unit: "1", invalid: wantPart("CgroupPids", part), measure: stateless(func() (float64, error) {
		limit, err := number(dir, "pids.max")
		if err != nil || limit == 0 {
			return 0, err
		}
		used, err := number(dir, "pids.current")
		return used / limit, errors.Join(err, over(used/limit, part, "of the container's processes and threads in use"))
	})}
}

// CPUThrottled finds that the container was throttled in more than a part of the
// periods since the last look (cpu.stat): its CPU limit is too low, and what
// looks like a slow dependency may be that. Where there is no cgroup v2 it finds
// nothing.
func CPUThrottled(part float64) Detector { return cpuThrottled(cgroup, part) }

// cpuThrottled measures over the time since it was last asked; the first answer
// is 0. Both counters are the kernel's and only grow.
func cpuThrottled(dir string, part float64) Detector {
	return Detector{name: "cpu", measures: "throttled", unit: "1", invalid: wantPart("CPUThrottled", part), measure: func() func() (float64, error) {
		var last map[string]float64
		return func() (float64, error) {
			now, err := keyed(dir, "cpu.stat")
			if err != nil || last == nil {
				last = now
				return 0, err
			}
			periods := now["nr_periods"] - last["nr_periods"]
			throttled := now["nr_throttled"] - last["nr_throttled"]
			last = now
			if periods <= 0 {
				return 0, nil
			}
			return throttled / periods, over(throttled/periods, part, "of the periods throttled")
		}
	}}
}

// Pressure finds that work stood still for lack of a resource, "cpu", "memory" or
// "io", in more than a part of the last ten seconds: the line "some", avg10, of
// pressure stall information (docs.kernel.org/accounting/psi.html). It is that of
// the container (cgroup v2), or else of the machine. Where the kernel counts none
// it finds nothing.
func Pressure(resource string, part float64) Detector {
	return pressure(cgroup, "/proc/pressure", resource, part)
}

// pressure reads "some avg10" of the kernel's pressure stall information: of
// the container, or else of the machine. A kernel without it has nothing to
// say, and passes.
func pressure(group, machine, resource string, part float64) Detector {
	d := Detector{name: resource + " pressure", measures: "stalled", unit: "1", invalid: wantPart("Pressure", part), measure: stateless(func() (float64, error) {
		text, err := os.ReadFile(filepath.Join(group, resource+".pressure"))
		if err != nil {
			text, err = os.ReadFile(filepath.Join(machine, resource))
		}
		if err != nil { // no such file, or one that cannot be read: psi=0
			return 0, nil
		}
		stalled, err := some(string(text))
		return stalled, errors.Join(err, over(stalled, part, "of the last 10 s without "+resource))
	})}
	if d.invalid == nil && resource != "cpu" && resource != "memory" && resource != "io" {
		d.invalid = fmt.Errorf("health: Pressure: the resource is %q, it must be cpu, memory or io", resource)
	}
	return d
}

// some is the part of the last ten seconds in the line of that name.
func some(text string) (float64, error) {
	for line := range strings.Lines(text) {
		fields := strings.Fields(line)
		if len(fields) < 2 || fields[0] != "some" {
			continue
		}
		if avg, ok := strings.CutPrefix(fields[1], "avg10="); ok {
			if percent, err := strconv.ParseFloat(avg, 64); err == nil && percent >= 0 && percent <= 100 {
				return percent / 100, nil
			}
		}
	}
	return 0, errors.New("health: the pressure file has no line some with avg10")
}

// number reads a file with one number; 0 for "max", and if there is no such
// file.
func number(dir, name string) (float64, error) {
	text, err := os.ReadFile(filepath.Join(dir, name))
	if errors.Is(err, fs.ErrNotExist) || strings.TrimSpace(string(text)) == "max" {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	n, err := strconv.ParseUint(strings.TrimSpace(string(text)), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("health: %s is not a number", name)
	}
	return float64(n), nil
}

// keyed reads a file with a name and a number on each line; nothing if there is
// no such file.
func keyed(dir, name string) (map[string]float64, error) {
	text, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	found := make(map[string]float64)
	for line := range strings.Lines(string(text)) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		n, err := strconv.ParseUint(value, 10, 64)
		if err != nil {
			return nil, fmt.Errorf("health: %s has a line that is not a name and a number", name)
		}
		found[key] = float64(n)
	}
	return found, nil
}
