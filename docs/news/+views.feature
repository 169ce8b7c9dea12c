Answers about services are kept until something that they show changes: asking again costs a look-up, and thousands who wait for one service are answered with one rendering.
