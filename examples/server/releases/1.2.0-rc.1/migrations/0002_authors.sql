ALTER TABLE article ADD COLUMN author TEXT NOT NULL DEFAULT 'the founders';

INSERT INTO article (title, body, author) VALUES
	('It works', 'Release 1.1.0 is in place: new colours, authors, and this article.', 'the update');
