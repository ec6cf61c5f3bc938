package livelint_test

import (
	"testing"

	"golang.org/x/tools/go/analysis/analysistest"

	"github.com/failopen/failopen/health/livelint"
)

func TestAnalyzer(t *testing.T) {
	analysistest.Run(t, analysistest.TestData(), livelint.Analyzer, "store", "handlers", "libraries", "others")
}
