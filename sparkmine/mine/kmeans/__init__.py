"""k-means: clusters of rows by their distance to means, how many, and what is in them."""

from sparkmine.mine.kmeans.choice import Choice, choose_k
from sparkmine.mine.kmeans.fitting import KMeans
from sparkmine.mine.kmeans.model import KMeansModel
from sparkmine.mine.kmeans.profiles import Profile, Trait

__all__ = ["Choice", "KMeans", "KMeansModel", "Profile", "Trait", "choose_k"]
