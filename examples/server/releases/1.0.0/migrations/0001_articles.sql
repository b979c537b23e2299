CREATE TABLE article (
	id    INTEGER PRIMARY KEY,
	title TEXT NOT NULL,
	body  TEXT NOT NULL
) STRICT;

INSERT INTO article (title, body) VALUES
	('Welcome', 'This site is kept up to date by the server that serves it.'),
	('How to change it', 'Ask the server for an update, and reload this page.');
