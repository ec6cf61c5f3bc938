package revoke

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// entry is what is on disk before anything is written to AWS.
// Version is 1; a reader refuses any other, since it would not know what to undo.
type entry struct {
	Version int  `json:"version"`
	Plan    Plan `json:"plan"`
}

// entrySuffix ends the name of an entry's file; the ID of the drill comes before it.
const entrySuffix = ".revocation.json"

// keep writes an entry and sees that it is on disk.
// The order is what makes it hold in a crash: a file of another name, its bytes
// synced, the rename, which is atomic, and then the folder synced. An entry of the
// same name is an error: it is of a revocation that may still be in place. The
// folder is made for its owner alone, since the plan names accounts.
func keep(dir string, e entry) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	text, err := json.MarshalIndent(e, "", "  ")
	if err != nil {
		return err
	}
	name := filepath.Join(dir, e.Plan.ID+entrySuffix)
	if _, err := os.Lstat(name); err == nil {
		return fmt.Errorf("%s: there is a revocation of that name", name)
	}
	f, err := os.CreateTemp(dir, "."+e.Plan.ID+"-*") // for its owner alone; nobody reads a part of an entry
	if err != nil {
		return err
	}
	_, err = f.Write(append(text, '\n'))
	if err = errors.Join(err, f.Sync(), f.Close()); err == nil {
		err = os.Rename(f.Name(), name)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return syncFolder(dir)
}

// syncFolder makes the name of a new file last. Where folders cannot be synced
// they need not be.
func syncFolder(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	_ = d.Sync() // Windows cannot
	return d.Close()
}

// forget removes an entry, when what it speaks of is gone.
// One that is gone already is no error: Revert may be called again.
func forget(dir, id string) error {
	err := os.Remove(filepath.Join(dir, id+entrySuffix))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return err
}

// Pending are the revocations that a journal says may still be in place. What
// is wrong with one entry is in the error, and does not hide the others.
// They are in the order in which they end. A folder that does not exist has none.
// Other files in it are not looked at.
func Pending(dir string) ([]Plan, error) {
	files, err := os.ReadDir(dir)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var all []Plan
	var errs []error
	for _, f := range files {
		if !strings.HasSuffix(f.Name(), entrySuffix) {
			continue
		}
		p, err := readEntry(dir, f.Name())
		if err != nil {
			errs = append(errs, err)
			continue
		}
		all = append(all, p)
	}
	slices.SortFunc(all, func(a, b Plan) int { return a.Until.Compare(b.Until) })
	return all, errors.Join(errs...)
}

// readEntry reads one entry, and takes no other file for one: its name must be
// that of the plan in it, and the plan must be a drill's own.
func readEntry(dir, base string) (Plan, error) {
	name := filepath.Join(dir, base)
	text, err := os.ReadFile(name)
	if err != nil {
		return Plan{}, err
	}
	var e entry
	if err := json.Unmarshal(text, &e); err != nil {
		return Plan{}, fmt.Errorf("%s: %w; it was not finished, so nothing was written to AWS after it: remove it", name, err)
	}
	if e.Version != 1 || e.Plan.ID+entrySuffix != base {
		return Plan{}, fmt.Errorf("%s: it is no journal of a revocation", name)
	}
	if err := e.Plan.own(); err != nil {
		return Plan{}, fmt.Errorf("%s: it is no journal of a revocation: %w", name, err)
	}
	return e.Plan, nil
}

// own sees that what a plan names is a drill's own. A plan comes from a file that
// may have been edited, and what it names is deleted.
// It does not look at the statements: those are only written, by Inject, from a plan
// in memory.
func (p Plan) own() error {
	switch {
	case !idForm.MatchString(p.ID):
		return fmt.Errorf("revoke: ID is %q; want 4 to 32 letters and digits", p.ID)
	case !tableARN.MatchString(p.Table):
		return fmt.Errorf("revoke: Table is %q; want the ARN of one table", p.Table)
	case !roleARN.MatchString(p.Role):
		return fmt.Errorf("revoke: Role is %q; want the ARN of one role", p.Role)
	case p.PolicyName != "" && p.PolicyName != policyName(p.ID):
		return fmt.Errorf("revoke: PolicyName is %q, which is not this drill's", p.PolicyName)
	}
	switch p.Via {
	case TablePolicy, RolePolicy, Session:
		return nil
	}
	return fmt.Errorf("revoke: Via is %q; want table-policy, role-policy or session", p.Via)
}

// policyName is that of a drill's inline policy.
func policyName(id string) string { return sidPrefix + "-" + id }

var errNoAPI = errors.New("revoke: there is no client: API is nil")
