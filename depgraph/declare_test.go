package depgraph

import "testing"

func TestDeclare_names_files_from_the_root_of_the_module(t *testing.T) {
	for _, c := range []struct{ file, pkg, module, want string }{
		{"/home/me/shop/internal/x/deps.go", "example.com/shop/internal/x", "example.com/shop", "internal/x/deps.go"},
		{"/home/me/shop/deps.go", "example.com/shop", "example.com/shop", "deps.go"},
		{"C:/work/shop/cmd/web/main.go", "example.com/shop/cmd/web", "example.com/shop", "cmd/web/main.go"},
		{"/go/pkg/mod/example.com/lib@v1.2.3/x.go", "example.com/lib", "example.com/shop", "example.com/lib/x.go"},
		{"/home/me/shop-two/x.go", "example.com/shop-two", "example.com/shop", "example.com/shop-two/x.go"},
		{"/tmp/main.go", "command-line-arguments", "", "main.go"},
		{"/home/me/shop/x_test.go", "example.com/shop_test", "example.com/shop", "x_test.go"},
	} {
		if got := fileInModule(c.file, c.pkg, c.module); got != c.want {
			t.Errorf("%+v: %q", c, got)
		}
	}
	if at := Declare(Service{Name: "a"}).At; at.File != "depgraph/declare_test.go" || at.Line == 0 {
		t.Errorf("declared at %v", at)
	}
	if got := packageOf("example.com/a%2eb/c.(*T).m"); got != "example.com/a%2eb/c" && got != "example.com/a.b/c" {
		t.Errorf("package %q", got)
	}
}
