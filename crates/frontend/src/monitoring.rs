//! CloudWatch: which metrics there are, their values, and what callers put into them.
//!
//! What is read is what was told up to now: the worker first writes what it has gathered.

use std::collections::BTreeMap;

use bytes::Bytes;
use dormouse_api::error::ApiError;
use dormouse_api::monitoring::{
    Body, GetMetricData, GetMetricStatistics, ListMetrics, Node, PutMetricData, Request,
    answer as answered, listed,
};
use dormouse_model::metrics::{Bucket, Unit};
use dormouse_model::names::{RequestId, Scope};
use dormouse_store::StorageError;
use dormouse_store::metrics::{ListQuery, Values, ValuesQuery};
use http::Response;
use tracing::error;

use crate::context::Inner;

/// Answers an operation.
pub(crate) async fn answer(
    inner: &Inner,
    scope: &Scope,
    (operation, body): (&str, Body<'_>),
    id: &RequestId,
) -> Result<Response<Bytes>, ApiError> {
    let dialect = body.dialect;
    let request = Request::read((scope, inner.clock.wall_ms()), operation, &body)?;
    let request = request.ok_or_else(|| ApiError::not_implemented(dialect, operation))?;
    let service = Service { inner, scope };
    let result = service.request(request).await.map_err(|fault| {
        error!(error = %fault, "store");
        ApiError::internal(dialect)
    })?;
    Ok(answered((dialect, operation), result.as_ref(), id))
}

struct Service<'a> {
    inner: &'a Inner,
    scope: &'a Scope,
}

impl Service<'_> {
    async fn request(&self, request: Request) -> Result<Option<Node>, StorageError> {
        match request {
            Request::PutMetricData(put) => self.put(put).await,
            Request::ListMetrics(asked) => self.list(asked).await.map(Some),
            Request::GetMetricStatistics(asked) => self.statistics(asked).await.map(Some),
            Request::GetMetricData(asked) => self.data(&asked).await.map(Some),
        }
    }

    async fn put(&self, put: PutMetricData) -> Result<Option<Node>, StorageError> {
        self.inner.metrics.add(put.points).await.map(|()| None)
    }

    async fn list(&self, asked: ListMetrics) -> Result<Node, StorageError> {
        if asked.foreign {
            return Ok(listed(&asked, &[], None));
        }
        self.inner.placement.meter().settle().await;
        let query = ListQuery {
            scope: self.scope.clone(),
            namespace: asked.namespace.clone(),
            name: asked.name.clone(),
            dimensions: asked.dimensions.clone(),
            active_since_s: asked.active_since_s,
            after: asked.after,
            limit: ListMetrics::PAGE,
        };
        let page = self.inner.metrics.list(query).await?;
        Ok(listed(&asked, &page.metrics, page.next))
    }

    async fn statistics(&self, asked: GetMetricStatistics) -> Result<Node, StorageError> {
        self.inner.placement.meter().settle().await;
        let query = ValuesQuery {
            metric: asked.metric.clone(),
            between_s: asked.between_s.clone(),
            period: asked.period,
            unit: asked.unit,
        };
        Ok(asked.answer(&self.values(query).await?))
    }

    /// One metric after the other, so that no more is held than a page has room for.
    async fn data(&self, asked: &GetMetricData) -> Result<Node, StorageError> {
        self.inner.placement.meter().settle().await;
        let mut results = asked.results();
        while let Some(wanted) = results.next() {
            let query = ValuesQuery {
                metric: wanted.metric.clone(),
                between_s: asked.between_s.clone(),
                period: wanted.period,
                unit: wanted.unit,
            };
            results.take(&of_all_units(self.values(query).await?));
        }
        Ok(results.answer())
    }

    async fn values(&self, query: ValuesQuery) -> Result<Values, StorageError> {
        Ok(self.inner.metrics.values(vec![query]).await?.pop().unwrap_or_default())
    }
}

/// Nobody asked for a unit: what was told in any is one series.
fn of_all_units(values: BTreeMap<Unit, Vec<Bucket>>) -> Vec<Bucket> {
    let mut all: BTreeMap<u64, Bucket> = BTreeMap::new();
    for bucket in values.into_values().flatten() {
        all.entry(bucket.at_s)
            .and_modify(|known| known.summary.merge(&bucket.summary))
            .or_insert(bucket);
    }
    all.into_values().collect()
}
