package dir_test

import (
	"context"
	"fmt"
	"io"
	"log"
	"os"
	"strings"

	"github.com/upkeep-go/upkeep/storage/dir"
)

func Example() {
	path, err := os.MkdirTemp("", "cloud")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(path)

	cloud, err := dir.Open(dir.Config{Path: path})
	if err != nil {
		log.Fatal(err)
	}
	defer cloud.Close()
	ctx := context.Background()
	fmt.Println(cloud.PutIfAbsent(ctx, "notes/1", strings.NewReader("buy milk")))
	fmt.Println(cloud.PutIfAbsent(ctx, "notes/1", strings.NewReader("too late")))
	part, err := cloud.Get(ctx, "notes/1", 4, -1)
	if err != nil {
		log.Fatal(err)
	}
	defer part.Close()
	text, err := io.ReadAll(part)
	fmt.Printf("%s %v\n", text, err)
	// Output:
	// <nil>
	// sync: exists: "notes/1"
	// milk <nil>
}

func ExampleRemotes() {
	path, err := os.MkdirTemp("", "clouds")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(path)

	clouds, err := dir.OpenRemotes(dir.Config{Path: path})
	if err != nil {
		log.Fatal(err)
	}
	ctx := context.Background()
	fmt.Println(clouds.Create(ctx, "工作笔记"), clouds.Create(ctx, "Diary"))
	for name, err := range clouds.List(ctx) {
		fmt.Println(name, err)
	}
	// Output:
	// <nil> <nil>
	// Diary <nil>
	// 工作笔记 <nil>
}
