"""Topics of texts by latent Dirichlet allocation."""

from sparkmine.mine.topics.choice import TopicChoice, choose_topics
from sparkmine.mine.topics.fitting import Topics
from sparkmine.mine.topics.model import TopicsModel

__all__ = ["TopicChoice", "Topics", "TopicsModel", "choose_topics"]
