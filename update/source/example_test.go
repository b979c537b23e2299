package source_test

import (
	"context"
	"fmt"

	"github.com/upkeep-go/upkeep/update/source"
)

func ExampleStatic() {
	for r, err := range source.Static("1.0.0", "1.1.0").Versions(context.Background(), "demo/site") {
		fmt.Println(r.Version, err)
	}
	// Output:
	// 1.0.0 <nil>
	// 1.1.0 <nil>
}
