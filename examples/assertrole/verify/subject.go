package verify

import (
	"slices"
	"strings"
)

// roleOf reports whether an ARN is a role's of one of the accounts. The
// partition does not matter: accounts are unique over all. What IAM would not
// have as a path and a name (API reference, CreateRole) is no role, since the
// ARN goes into logs and decisions.
func roleOf(arn string, accounts []string) bool {
	head, rest, _ := strings.Cut(arn, ":iam::")
	account, role, _ := strings.Cut(rest, ":role/")
	slash := strings.LastIndexByte(role, '/') + 1
	return (head == "arn:aws" || head == "arn:aws-cn" || head == "arn:aws-us-gov") && slices.Contains(accounts, account) &&
		visible(role[:slash], 511) && roleName(role[slash:])
}

// roleName reports whether IAM would take the name. It is written by hand because
// each Verify needs it.
func roleName(name string) bool {
	for i := range len(name) {
		c := name[i]
		if (c < '0' || c > '9') && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') && !strings.ContainsRune("_+=,.@-", rune(c)) {
			return false
		}
	}
	return name != "" && len(name) <= 64
}

// visible reports whether text has visible ASCII only, and at most limit of it.
func visible(text string, limit int) bool {
	for i := range len(text) {
		if text[i] <= ' ' || text[i] > '~' {
			return false
		}
	}
	return len(text) <= limit
}

// accountOf is the account in a role's ARN, which roleOf has accepted.
func accountOf(arn string) string {
	_, rest, _ := strings.Cut(arn, ":iam::")
	account, _, _ := strings.Cut(rest, ":")
	return account
}
