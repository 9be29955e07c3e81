"""Variables and transits for scientists: a night's ranked candidates, its precision, and fits of single transits."""
